"""Stack: networks and classical models side by side, each weighed by what it adds."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.admission import check_cohort, check_learnable, last_time, refuse_later, refuse_other_landmark
from fusiondx.answering import Answering, no_values
from fusiondx.core.predictions import Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, listed
from fusiondx.model import check_settings
from fusiondx.plain import outputs_of, plain_head, said_by, settled_head
from fusiondx.stacking import saving
from fusiondx.stacking.blend import Blend, fit_blend, teaches
from fusiondx.stacking.describing import described_by, descriptions
from fusiondx.stacking.member import Answers, Member, Question, Split
from fusiondx.stacking.recipes import check_models, of_users, recipes
from fusiondx.training import Training

if TYPE_CHECKING:
    from fusiondx.explain.explanation import Explanation
    from fusiondx.explain.question import Scale

Floats = npt.NDArray[np.floating[Any]]
Pattern = tuple[str, ...]
"""Modalities, in the order of the training cohort."""

FOLDS = {"fast": 3, "thorough": 5}
"""Inner folds by effort."""
ENOUGH = 30
"""Patients with a known answer that weights of a pattern are learnt from; half of all with one where there are fewer
than twice as many."""
MORE = 1.5
"""Times as many patients that a part of a pattern needs for its weights to be expected of the whole."""
EVERY = 4
"""Of so many modalities every pattern gets weights, of more those that training patients have."""


class Stack(Answering):
    """Networks and classical models together, each weighed by what it adds to the others (Wolpert 1992).

    Every modality is described by tables: tables and genomics as they are, images by radiomics and, where one is
    installed, by a pretrained network that does not train, bags by mean and spread of their patches. On these learn
    ridge regressions and boosted trees, of single descriptions and of all together, an early-fusion network and, with
    effort "thorough", a network per modality. What they say of training patients they have not seen decides how much
    each counts: non-negative weights under the loss of the target, for every pattern of modalities that enough patients
    have. A fitted stack scores a single new patient; one of a pattern without weights is scored by the largest part of
    it that has some, one with nothing known by the training patients' mean.

    Parameters
    ----------
    effort:
        "fast": 3 inner folds; a ridge regression of each description and of all, trees and a network of all.
        "thorough": 5 inner folds; also trees of each description and a network of each modality.
    models:
        More members by name, anything with `FusionModel`'s `fit` and `predict`; they see the cohort itself, images
        and all.
    training:
        Of the networks; left out, the defaults.
    seed:
        Same seed, same cohort, same machine: same numbers.

    After `fit`: `members_`; `weights_`, a table of what each counts for; `cohort_`, the training patients.

    Examples
    --------
    >>> tables = {"modalities": ["clinical", "omics"], "targets": ["diagnosis"]}
    >>> stack = fdx.Stack("fast", training=quick).fit(train.select(**tables))  # or fdx.FusionModel.best()
    >>> stack.predict_proba(test.select(**tables)).shape
    (23, 2)
    """

    left_out: ClassVar[Mapping[str, Any]] = {"models": {}, "training": Training()}

    def __init__(
        self,
        effort: Literal["fast", "thorough"] = "fast",
        models: Mapping[str, Any] | None = None,
        training: Training | None = None,
        seed: int = 0,
    ) -> None:
        self.effort = effort
        self.models = models
        self.training = training
        self.seed = seed

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Train on all patients of `cohort`; `y`, when given, replaces the values of the first target.

        Raises `DataError` for a cohort that cannot be learnt from and `ConfigError` for settings that do not fit it.
        """
        if self.effort not in FOLDS:
            raise ConfigError(f"effort: {self.effort!r}. Give one of: {listed(FOLDS)}.")
        check_settings(self.seed, self.training)
        check_models(self.models or {})
        check_cohort(cohort)
        if y is not None:
            cohort = cohort.with_target(next(iter(cohort.targets)), y)
        check_learnable(cohort)
        self.targets_ = {name: no_values(values.spec, values.classes) for name, values in cohort.targets.items()}
        self.landmark_ = last_time(cohort)
        self.descriptions_ = descriptions(cohort)
        self.modalities_ = tuple(dict.fromkeys(d.modality for d in self.descriptions_))
        self.questions_ = {name: Question(plain_head(t), outputs_of(t)) for name, t in cohort.targets.items()}
        seen = described_by(self.descriptions_, cohort)
        splits = cohort.folds(FOLDS[self.effort], group=None, seed=self.seed)
        self._blend(seen, splits, self._train(seen, splits, cohort.modalities))
        self.cohort_ = cohort
        return self

    def _train(self, seen: Cohort, splits: Sequence[Split], modalities: Collection[str]) -> dict[str, Member]:
        """Fit all members; returns those of the inner splits by name. One that cannot be fitted is left out, aloud."""
        asked = recipes(self.descriptions_, seen, self.effort == "thorough", self.training, self.seed)
        asked += of_users(self.models or {}, modalities, [recipe.name for recipe in asked])
        self.members_: dict[str, Member] = {}
        inner = {}
        for recipe in asked:
            try:
                self.members_[recipe.name], inner[recipe.name] = recipe.fit(seen, splits)
            except DataError as error:
                warnings.warn(f"'{recipe.name}' is left out of the stack: {error}", FusionDxWarning, stacklevel=3)
        if not self.members_:
            raise DataError("No member of the stack could be fitted: there are too few patients.")
        return inner

    def _blend(self, seen: Cohort, splits: Sequence[Split], inner: Mapping[str, Member]) -> None:
        """Weights for every pattern, and heads that know what the blended answers of training patients came to."""
        has = {name: seen.modalities[name].present for name in self.modalities_}
        self.blends_: dict[str, dict[Pattern, Blend]] = {name: {} for name in self.questions_}
        patients: dict[str, dict[Pattern, int]] = {name: {} for name in self.questions_}
        held_out: dict[Pattern, dict[str, Answers]] = {}
        for pattern in patterns(has):
            part = self._only(seen, pattern)
            held_out[pattern] = {
                name: member.held_out(part, splits, self.questions_)
                for name, member in inner.items()
                if member.recipe.speaks_of(part)
            }
            rows = np.flatnonzero(np.all([has[name] for name in pattern], axis=0))
            for target, question in self.questions_.items():
                mine = rows[seen.targets[target].known[rows]]
                truth = seen.targets[target][mine]
                if len(mine) >= min(ENOUGH, seen.targets[target].known.sum() // 2) and teaches(truth):
                    told = {name: found[target][mine] for name, found in held_out[pattern].items()}
                    patients[target][pattern] = len(mine)
                    expected = parent(self.blends_[target], pattern, patients[target])
                    self.blends_[target][pattern] = fit_blend(told, truth, question.head, expected)
        for target, blends in self.blends_.items():
            if not any(blend.speaks for blend in blends.values()):
                warnings.warn(
                    f"'{target}': no member tells anything of patients it has not seen, or too few have a known "
                    "answer. Patients with the same modalities all get the same prediction.",
                    FusionDxWarning,
                    stacklevel=3,
                )
        self.nothing_ = {name: ignorance(values) for name, values in seen.targets.items()}
        self.heads_ = {
            name: settled_head(values, self._blended(name, seen, held_out)) for name, values in seen.targets.items()
        }

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target name, for every patient, whatever modalities they lack.

        Raises `NotFittedError` before `fit`, `DataError` where a table lacks columns the stack was trained on.
        """
        seen = self._described(cohort)
        said: dict[Pattern, dict[str, Answers]] = {}
        wanted = {p for target in self.questions_ for p in self._chosen(target, seen)}
        for pattern in wanted - {()}:
            part = self._only(seen, pattern)
            said[pattern] = {
                name: member.answers(part, self.questions_)
                for name, member in self.members_.items()
                if member.recipe.speaks_of(part)
            }
        return {
            target: said_by(self.heads_[target], self._blended(target, seen, said), cohort)
            for target in self.questions_
        }

    def explain(
        self,
        cohort: Cohort,
        target: str | None = None,
        *,
        label: str | None = None,
        horizon: float | None = None,
        scale: Scale = "probability",
        reference: Cohort | None = None,
    ) -> Explanation:
        """What each modality added to the prediction of one number for each patient, with cards to look at.

        Settings as those of `FusionModel.explain`; columns, places in images and neighbours are not told. The stack is
        asked once for each of the 2^M subsets of M modalities.
        """
        from fusiondx.explain.explaining import explain_stack  # late: it imports what draws

        self._asked()
        return explain_stack(self, cohort, target, label, horizon, scale, reference)

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the stack into `folder`, all or nothing; raises as `FusionModel.save` does."""
        self._asked()
        saving.write(self, Path(folder), overwrite)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A stack saved by `save`. Nothing in the folder can run code; raises as `FusionModel.load` does."""
        place = Path(folder)
        saved, arrays = saving.read(place)
        stack = cls(saved.effort, training=saved.training, seed=saved.seed)
        stack.targets_ = {name: no_values(asked.spec, asked.classes) for name, asked in saved.targets.items()}
        stack.landmark_ = saved.landmark
        stack.descriptions_ = tuple(saving.descriptions(saved, arrays, place))
        stack.modalities_ = tuple(dict.fromkeys(d.modality for d in stack.descriptions_))
        stack.heads_ = saving.heads(stack.targets_, arrays, place)
        stack.questions_ = {n: Question(stack.heads_[n], outputs_of(t)) for n, t in stack.targets_.items()}
        made = saving.members(saved, arrays, stack.targets_, place)
        stack.members_ = {member.recipe.name: member for member in made}
        stack.blends_ = saving.blends(saved)
        stack.nothing_ = {name: np.asarray(answer) for name, answer in saved.nothing.items()}
        return stack

    @property
    def weights_(self) -> pd.DataFrame:
        """What each member counts for: a row per target, pattern of modalities and member."""
        self._asked()
        rows = [
            (target, "+".join(pattern), member, weight)
            for target, blends in self.blends_.items()
            for pattern, blend in blends.items()
            for member, weight in blend.weights.items()
        ]
        return pd.DataFrame(rows, columns=["target", "modalities", "member", "weight"])

    @property
    def parameters_(self) -> int:
        """Trained numbers of all members together."""
        self._asked()
        return sum(fit.parameters_ for member in self.members_.values() for fit in member.fits)

    def _described(self, cohort: Cohort) -> Cohort:
        """Patients to predict, with the tables the stack reads."""
        self._asked()
        check_cohort(cohort)
        if not len(cohort):
            raise DataError("There are no patients to predict: the cohort is empty.")
        refuse_other_landmark(cohort, self.landmark_)
        mine = cohort.select(modalities=[name for name in self.modalities_ if name in cohort.modalities])
        refuse_later(mine, self.landmark_)
        return described_by(self.descriptions_, mine)

    def _only(self, seen: Cohort, pattern: Collection[str]) -> Cohort:
        """The patients with nothing but these modalities, and the tables made of them."""
        tables = [d.name for d in self.descriptions_ if d.modality in pattern]
        return seen.select(modalities=[name for name in dict.fromkeys([*pattern, *tables]) if name in seen.modalities])

    def _chosen(self, target: str, seen: Cohort) -> list[Pattern]:
        """Whose weights each patient gets: those of all they have, or of the largest part of it that has some."""
        held = [seen.modalities[name].present if name in seen.modalities else None for name in self.modalities_]
        has = np.stack([np.zeros(len(seen), bool) if h is None else h for h in held], axis=1)
        patients = [tuple(n for n, h in zip(self.modalities_, row, strict=True) if h) for row in has]
        nearest = {own: covered(own, self.blends_[target]) for own in set(patients)}
        return [nearest[own] for own in patients]

    def _blended(self, target: str, seen: Cohort, said: Mapping[Pattern, Mapping[str, Answers]]) -> Floats:
        """The answers to all patients, ``(patients, outputs)``."""
        chosen = np.array(["+".join(pattern) for pattern in self._chosen(target, seen)], dtype=object)
        found = np.tile(self.nothing_[target], (len(seen), 1))
        for pattern, blend in self.blends_[target].items():
            rows = np.flatnonzero(chosen == "+".join(pattern))
            if len(rows):
                found[rows] = blend({name: answers[target][rows] for name, answers in said[pattern].items()})
        return found


def patterns(has: Mapping[str, npt.NDArray[np.bool_]]) -> list[Pattern]:
    """The patterns of modalities that get weights, small ones first."""
    names = tuple(has)
    if len(names) <= EVERY:
        return [chosen for size in range(1, len(names) + 1) for chosen in combinations(names, size)]
    seen = {tuple(n for n, h in zip(names, row, strict=True) if h) for row in np.stack(list(has.values()), axis=1)}
    return sorted((seen | {(name,) for name in names}) - {()}, key=len)


def parent(
    blends: Mapping[Pattern, Blend], pattern: Pattern, patients: Mapping[Pattern, int]
) -> Mapping[str, float] | None:
    """The weights expected for a pattern: those of its largest part that clearly more patients have, if any.

    A part of which no member tells anything expects nothing of the others.
    """
    parts = [p for p, blend in blends.items() if set(p) < set(pattern) and blend.speaks]
    larger = [p for p in parts if patients[p] >= MORE * patients[pattern]]
    return blends[max(larger, key=lambda p: (len(p), patients[p]))].weights if larger else None


def covered(own: Pattern, blends: Mapping[Pattern, Blend]) -> Pattern:
    """The largest pattern with weights that is part of `own`; none where no part has any."""
    return max((p for p in blends if set(p) <= set(own)), key=len, default=())


def ignorance(values: TargetValues) -> Floats:
    """The answer about a patient of whom nothing is known: what fits the training patients' mean."""
    known = values[values.known]
    if values.spec.kind == "classes":
        logs = np.log(np.bincount(known.fields["label"].astype(int), minlength=len(values.classes)) + 0.5)
        return np.asarray(logs - logs.mean())
    if values.spec.kind == "labels":
        told, yes = known.fields["told"].astype(bool), known.fields["label"] == 1
        return np.asarray(np.log((yes & told).sum(axis=0) + 0.5) - np.log((~yes & told).sum(axis=0) + 0.5))
    return np.zeros(outputs_of(values))
