"""Modality use: which modalities a fitted model makes use of, and whether that can be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone

from fusiondx.coalitions import MOST, Coalitions, Predictor, shapley_weights
from fusiondx.core.predictions import Prediction, SurvivalPrediction
from fusiondx.data.cohort import Cohort
from fusiondx.data.missingness import keep, present
from fusiondx.data.substitution import mean_filled, shuffled
from fusiondx.errors import ConfigError
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.metrics import METRICS, primary_metric
from fusiondx.evaluation.parts import Part
from fusiondx.evaluation.score import contrasts

How = Literal["permuted", "dropped", "mean-filled", "Shapley value"]
HOW: tuple[How, ...] = ("permuted", "dropped", "mean-filled", "Shapley value")
Verdict = Literal["used", "not shown to help", "harms"]
SHUFFLED = "labels shuffled"
Said = Mapping[str, Prediction]
"""By target."""


@dataclass(frozen=True)
class Change:
    """What becomes of one target's metric when one modality no longer tells patients apart."""

    target: str
    modality: str
    how: How
    importance: Outcome
    """How much worse the metric gets; below zero, better."""


@dataclass(frozen=True)
class Control:
    """A model trained anew where there is nothing to find, and judged as the one audited."""

    target: str
    name: str
    """``labels shuffled``, or the modality replaced by noise."""
    worth: Outcome
    """The metric it reaches."""
    verdict: Verdict | None
    """On the noise; None where labels were shuffled."""


@dataclass(frozen=True)
class ModalityAudit:
    """Whether each modality is used: `verdicts`, with the evidence in `frame`.

    >>> found = fdx.modality_audit(model, test, permutations=2, replicates=20)
    >>> isinstance(found, fdx.ModalityAudit)
    True
    >>> found.frame()["change"].unique().tolist()
    ['permuted', 'dropped', 'mean-filled', 'Shapley value']
    """

    worth: dict[str, Outcome]
    """The primary metric of the model as it is, by target."""
    changes: tuple[Change, ...]
    controls: tuple[Control, ...] = ()

    def verdicts(self, target: str | None = None) -> dict[str, Verdict]:
        """By modality, for one target (left out: the first).

        "harms": the interval of dropping it lies below zero, these patients are better judged without it. Else "used":
        that of permuting it lies above zero. Else "not shown to help", which is not shown not to: these
        patients may be too few. A modality that tells nothing is called used by chance once in forty times.
        """
        wanted = target if target is not None else next(iter(self.worth), "")
        mine = [change for change in self.changes if change.target == wanted]
        if not mine:
            raise ConfigError(f"The audit is not about '{wanted}'. It is about: {', '.join(self.worth)}.")
        return {
            name: verdict([c for c in mine if c.modality == name]) for name in dict.fromkeys(c.modality for c in mine)
        }

    def frame(self) -> pd.DataFrame:
        """One row per target, modality and change: `importance` with its paired 95 % interval, and the verdict."""
        told = {target: self.verdicts(target) for target in dict.fromkeys(c.target for c in self.changes)}
        rows = [
            (c.target, c.modality, c.how, c.importance.metric, *span(c.importance), told[c.target][c.modality])
            for c in self.changes
        ]
        columns = ["target", "modality", "change", "metric", "importance", "low", "high", "n", "events", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def control_frame(self) -> pd.DataFrame:
        """One row per target and negative control: the metric reached, and the verdict on the noise."""
        rows = [(c.target, c.name, c.worth.metric, *span(c.worth), c.verdict or "") for c in self.controls]
        columns = ["target", "control", "metric", "estimate", "low", "high", "n", "events", "verdict on the noise"]
        return pd.DataFrame(rows, columns=columns)

    def __str__(self) -> str:
        parts = [line for target, found in self.worth.items() for line in self._about(target, found)]
        if self.controls:
            parts += ["Negative controls, trained anew where there is nothing to find", written(self.control_frame())]
        return "\n".join(parts)

    def _about(self, target: str, found: Outcome) -> Iterator[str]:
        title = METRICS[found.metric].title
        said = (
            f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" if isinstance(found, Estimate) else found.reason
        )
        yield f"{target}: {title} {said}, {found.n} patients"
        yield from (f"  {name}: {said}" for name, said in self.verdicts(target).items())
        frame = self.frame()
        shown = frame[frame["target"] == target].drop(columns=["target", "metric", "n", "events", "verdict"])
        yield "Importance: how much worse the metric gets (paired 95 % interval)"
        yield written(shown) + "\n"


def modality_audit(
    model: Predictor,
    cohort: Cohort,
    *,
    permutations: int = 10,
    controls: bool = False,
    replicates: int = 1000,
    seed: int = 0,
) -> ModalityAudit:
    """Ask a fitted model about held-out patients again with each modality made to tell nothing, in four ways.

    Permuted among those who have it, `permutations` times, the mean of which counts (Breiman 2001); dropped, as if
    nobody had it; the same for all (`mean_filled`); and its exact Shapley value over all 2^M subsets of modalities
    (Shapley 1953), the worth of a subset being the metric from it alone; of more than 10 modalities that is left out.
    Of dropping, the model's way with missing modalities is a part; of permuting it is not, but patients are made who
    may not exist.

    `controls` trains the model anew, on the patients it was trained on, with shuffled labels, and with each modality
    replaced by noise, here and there handed on at random from patient to patient. The first should reach no more
    than chance, and no noise should be called used.

    Raises `ConfigError` for fewer than one permutation, or `controls` of a model that does not know its training
    patients, else as `Coalitions.of` and `score`.

    >>> used = fdx.modality_audit(model, test, permutations=2, replicates=20)
    >>> sorted(used.verdicts("survival"))
    ['clinical', 'image', 'omics']
    """
    if permutations < 1:
        raise ConfigError(f"permutations={permutations}. Give at least 1.")
    names = [name for name, modality in cohort.modalities.items() if modality.present.any()]
    judge = Judge(cohort, permutations, replicates, seed)
    worth, changes = judge.of(model, names, ways(len(cohort.modalities), MOST))
    found = tuple(judge.controls(model, names)) if controls else ()
    return ModalityAudit(worth, changes, found)


def ways(modalities: int, most: int) -> tuple[How, ...]:
    """How so many modalities are changed: of more than `most` subsets would be too many for Shapley values."""
    return HOW if modalities <= most else tuple(how for how in HOW if how != "Shapley value")


@dataclass(frozen=True)
class Asked:
    """What a model says of held-out patients as they are, and with each modality made to tell nothing."""

    rows: tuple[tuple[str, How], ...]
    """Modality and change."""
    weights: npt.NDArray[np.float64]
    """How the metrics of all that is said add up to the metric itself, in row 0, and to what it loses by each change.
    Shape ``(1 + rows, said)``."""
    parts: Mapping[str, tuple[Part, ...]]
    """By target, everything said beside the truth."""


def ask(
    model: Predictor, cohort: Cohort, names: Sequence[str], how: Sequence[How], permutations: int, seed: int
) -> Asked:
    """Ask about every patient as they are, and with each of `names` changed in the ways `how`.

    Shapley values alone need an answer from every subset of the modalities.
    """
    subsets = Coalitions.of(model, cohort) if "Shapley value" in how else None
    answers = Answers(model, cohort, subsets, permutations, seed)
    changed = {(name, kind): answers.to(name, kind) for name in names for kind in how}
    whole = answers.whole()
    parts, weights = {}, np.empty((0, 0))
    for target in (t for t in whole if t in cohort.targets):
        rivals, weights = lined_up(target, whole, changed, subsets)
        parts[target] = tuple((ranked(said.of(cohort.ids)), cohort.targets[target]) for said in rivals)
    return Asked(tuple(changed), weights, parts)


@dataclass(frozen=True)
class Answers:
    """What a model says of patients as they are and changed, from subsets of modalities where those were asked."""

    model: Predictor
    cohort: Cohort
    subsets: Coalitions | None
    permutations: int
    seed: int

    def whole(self) -> Said:
        """Of patients as they are."""
        return self.model.predict(self.cohort) if self.subsets is None else self._among(self.subsets)

    def to(self, name: str, how: How) -> list[Said]:
        """With modality `name` changed, once or several times; nothing for a Shapley value, which is no change."""
        if how == "permuted":
            seeds = np.random.SeedSequence(self.seed).generate_state(self.permutations)
            return [self.model.predict(shuffled(self.cohort, name, int(seed))) for seed in seeds]
        if how == "mean-filled":
            return [self.model.predict(mean_filled(self.cohort, name))]
        if how == "Shapley value":
            return []
        if self.subsets is not None:
            return [self._among(self.subsets, name)]
        others = [other != name for other in self.cohort.modalities]
        return [self.model.predict(keep(self.cohort, present(self.cohort) & others))]

    @staticmethod
    def _among(subsets: Coalitions, left_out: str | None = None) -> Said:
        kept = subsets.number(*(name for name in subsets.modalities if name != left_out))
        return {target: subsets.said(target, kept) for target in subsets.predictions}


def ranked(said: Prediction) -> Prediction:
    """Without survival curves, which would be most of it and which no primary metric needs."""
    if not isinstance(said, SurvivalPrediction):
        return said
    return replace(said, times=np.empty(0), curves=np.empty((len(said), 0)))


def weighed(folds: Sequence[Asked], replicates: int, seed: int) -> ModalityAudit:
    """The verdict over one or several held-out sets that were asked about in the same way."""
    worth, changes = {}, []
    for target in folds[0].parts:
        rivals = [[fold.parts[target][place] for fold in folds] for place in range(len(folds[0].parts[target]))]
        metric = primary_metric(rivals[0][0][1])
        # of all rows but the first, higher means more important
        sign = np.where(np.arange(len(folds[0].weights)) > 0, 1 if METRICS[metric].higher_is_better else -1, 1)
        weights = folds[0].weights * sign[:, None]
        worth[target], *found = contrasts(rivals, weights, metric, replicates=replicates, seed=seed)
        changes += [Change(target, *row, outcome) for row, outcome in zip(folds[0].rows, found, strict=True)]
    return ModalityAudit(worth, tuple(changes))


@dataclass(frozen=True)
class Judge:
    """The patients of an audit, and how often they are shuffled and resampled."""

    cohort: Cohort
    permutations: int
    replicates: int
    seed: int

    def of(
        self, model: Predictor, names: Sequence[str], how: Sequence[How]
    ) -> tuple[dict[str, Outcome], tuple[Change, ...]]:
        """The metric of every target, and what becomes of it when each of some modalities is changed."""
        asked = ask(model, self.cohort, names, how, self.permutations, self.seed)
        found = weighed([asked], self.replicates, self.seed)
        return found.worth, found.changes

    def controls(self, model: Any, names: Sequence[str]) -> Iterator[Control]:
        """Train anew where there is nothing to find."""
        train = getattr(model, "cohort_", None)
        if train is None:
            raise ConfigError(
                "Negative controls train the model anew, but it does not know its training patients (a loaded model "
                "does not). Audit it where it was trained, or without controls."
            )
        order = np.random.default_rng(self.seed).permutation(len(train))
        blind = clone(model).fit(
            replace(train, targets={name: values[order] for name, values in train.targets.items()})
        )
        yield from (Control(target, SHUFFLED, worth, None) for target, worth in self.of(blind, [], ())[0].items())
        for name in (n for n in names if n in train.modalities):
            noisy = replace(self, cohort=shuffled(self.cohort, name, self.seed))
            worth, changes = noisy.of(
                clone(model).fit(shuffled(train, name, self.seed + 1)), [name], ("permuted", "dropped")
            )
            for target, reached in worth.items():
                mine = [change for change in changes if change.target == target]
                yield Control(target, f"{name} replaced by noise", reached, verdict(mine))


def lined_up(
    target: str, whole: Said, changed: Mapping[tuple[str, How], list[Said]], subsets: Coalitions | None
) -> tuple[list[Prediction], npt.NDArray[np.float64]]:
    """All predictions to judge, that of patients as they are first, and the weights of their metrics in every row.

    Row 0 is the metric itself; the others are what the metric loses by a change.
    """
    rivals = [whole[target], *(said[target] for answers in changed.values() for said in answers)]
    size = len(rivals)
    if subsets is not None:
        rivals += [subsets.said(target, number) for number in range(1 << len(subsets.modalities))]
    weights, at = np.zeros((1 + len(changed), len(rivals))), 1
    weights[:, 0] = 1.0
    for row, ((name, _), answers) in zip(weights[1:], changed.items(), strict=True):
        if answers:
            row[at : at + len(answers)] = -1 / len(answers)
            at += len(answers)
        elif subsets is not None:
            row[0] = 0.0
            row[size:] = shapley_weights(len(subsets.modalities))[subsets.modalities.index(name)]
    return rivals, weights


def verdict(changes: Sequence[Change]) -> Verdict:
    """What permuting and dropping one modality say about one target."""
    found = {c.how: c.importance for c in changes if isinstance(c.importance, Estimate)}
    dropped, permuted = found.get("dropped"), found.get("permuted")
    if dropped is not None and dropped.high < 0:
        return "harms"
    return "used" if permuted is not None and permuted.low > 0 else "not shown to help"


def span(found: Outcome) -> tuple[float | None, float | None, float | None, int, int | None]:
    """Value, interval, patients, events."""
    if isinstance(found, Estimate):
        return found.value, found.low, found.high, found.n, found.events
    return None, None, None, found.n, found.events


def written(frame: pd.DataFrame) -> str:
    """A table for people."""
    return frame.to_string(index=False, float_format="{:.3f}".format, na_rep="\u2013")
