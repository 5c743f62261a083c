"""Validation: models judged on patients they never saw, always beside their baselines."""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone

from fusiondx.baselines import ClinicalBaseline
from fusiondx.core.joining import read_by
from fusiondx.core.predictions import CompetingPrediction, LabelsPrediction, Prediction, SurvivalPrediction
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, DataError, counted, listed
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import primary_metric
from fusiondx.evaluation.score import difference, score
from fusiondx.model import FusionModel
from fusiondx.reporting.report import DIFFERENCES, Part, Report, Result

Index = npt.NDArray[np.integer[Any]]
Tell = Callable[[str], None]
CLASSICAL = {
    "classes": "logistic regression",
    "labels": "logistic regression",
    "survival": "Cox regression",
    "competing": "Cox regression per cause",
    "cause": "Cox regression per cause",
    "number": "ridge regression",
}


@dataclass
class Contender:
    """One model of the comparison: what it is, which modality it is confined to, and what it achieved."""

    name: str
    role: Literal["model", "modality", "baseline"]
    estimator: Any
    only: str | None = None
    """The one modality it sees; patients without it neither train nor test it."""
    parts: dict[str, list[Part]] = field(default_factory=lambda: defaultdict(list))
    histories: list[pd.DataFrame] = field(default_factory=list)
    seconds: float = 0.0
    parameters: int | None = None

    def view(self, cohort: Cohort) -> Cohort:
        """What it sees of a cohort."""
        if self.only is None:
            return cohort
        mine = cohort.select(modalities=[self.only])
        return mine[np.flatnonzero(mine.modalities[self.only].present)]

    def fit(self, train: Cohort) -> Any:
        """A fresh copy, trained."""
        started = time.perf_counter()
        fitted = clone(self.estimator).fit(self.view(train))
        self.seconds += time.perf_counter() - started
        return fitted

    def judge(self, fitted: Any, test: Cohort, fold: int = 0) -> None:
        """Keep its predictions for held-out patients beside their true values."""
        seen = self.view(test)
        if len(seen):
            for target, prediction in fitted.predict(seen).items():
                for name, part in judged(target, prediction, seen.targets[target]):
                    self.parts[name].append(part)
        if isinstance(fitted, FusionModel):
            for target, part in overlaps(fitted, seen):
                self.parts[target].append(part)
        self.parameters = getattr(fitted, "parameters_", None)
        if isinstance(fitted, FusionModel):
            self.histories.append(fitted.history_.assign(fold=fold))

    def named(self, kind: str) -> str:
        """Its name in a table about targets of this kind."""
        return f"{self.name} ({CLASSICAL[kind]})" if self.role == "baseline" else self.name

    def results(self, replicates: int, seed: int) -> list[Result]:
        """What it achieved, target by target."""
        return [
            Result(
                self.named(parts[0][1].spec.kind),
                self.role,
                target,
                tuple(parts),
                score(parts, replicates=replicates, seed=seed),
                self.seconds,
                self.parameters,
                # risk is relative to the average training patient: above it is high
                tuple(0.0 if isinstance(prediction, SurvivalPrediction) else None for prediction, _ in parts),
            )
            for target, parts in self.parts.items()
        ]


def judged(target: str, prediction: Prediction, truth: TargetValues) -> Iterator[tuple[str, Part]]:
    """A prediction beside the truth; of several labels or causes also each on its own."""
    yield target, (prediction, truth)
    if isinstance(prediction, CompetingPrediction):
        for cause in prediction.causes:
            yield f"{target}: {cause}", (prediction.of_cause(cause), truth.of_cause(cause))
    if isinstance(prediction, LabelsPrediction):
        for label in prediction.labels:
            yield f"{target}: {label}", (prediction.of_label(label), truth.of_label(label))


def overlaps(model: FusionModel, seen: Cohort) -> Iterator[tuple[str, Part]]:
    """What a model that segments drew, beside the true masks, where some of these patients have them."""
    here = [name for name in model.segments_ if name in seen.modalities and seen.modalities[name].present.any()]
    for modality, drawn in model.segment(seen).items() if here else ():
        said, truth = drawn.judged()
        if truth.known.any():
            yield f"{modality} tumour", (said, truth)


def evaluate(
    model: FusionModel,
    cohort: Cohort,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Evaluation",
) -> Report:
    """Judge a fitted model on held-out patients.

    With `baselines`, each modality alone and a clinical regression are fitted on the model's own training patients
    (`model.cohort_`) and judged on the same held-out ones; a loaded model has no training patients to fit them on, and
    the report says so. Raises `DataError` if a held-out patient took part in training.
    """
    known = getattr(model, "cohort_", None)
    if known is not None:
        refuse_overlap(known, cohort)
    lead = Contender(title_of(model), "model", model)
    lead.judge(model, cohort)
    others, notes = [], []
    if known is not None:
        others = rivals(model, known) if baselines else []
        notes = run(others, [(known, cohort)])
    elif baselines:
        notes.append(
            "No baselines: a loaded model does not know its training patients. Use cross_validate or train_test."
        )
    return report([lead, *others], cohort, notes, replicates, seed, title, "held-out patients")


def cross_validate(
    models: FusionModel | Mapping[str, FusionModel],
    cohort: Cohort,
    folds: int | Iterable[tuple[Index, Index]] = 5,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Cross-validation",
    progress: Tell | None = None,
) -> Report:
    """Train and judge one or several models on the same folds; out-of-fold predictions stay in the report's results.

    `folds` is a number of stratified folds, or pairs of training and test index arrays as `Cohort.folds` gives.
    """
    pairs = cohort.folds(folds, seed=seed) if isinstance(folds, int) else list(folds)
    if not pairs:
        raise ConfigError("There are no folds to validate on.")
    contenders = field_of(models, cohort, baselines)
    notes = run(contenders, [(cohort[train], cohort[test]) for train, test in pairs], progress)
    return report(contenders, cohort, notes, replicates, seed, title, f"{len(pairs)} folds")


def train_test(
    models: FusionModel | Mapping[str, FusionModel],
    train: Cohort,
    test: Cohort,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Train and test",
    progress: Tell | None = None,
) -> tuple[Report, dict[str, FusionModel]]:
    """Train one or several models, judge them on held-out patients; returns the report and the fitted models."""
    refuse_overlap(train, test)
    contenders = field_of(models, train, baselines)
    fitted: dict[str, FusionModel] = {}
    notes = run(contenders, [(train, test)], progress, fitted)
    names = named(models)
    made = report(contenders, test, notes, replicates, seed, title, "held-out patients")
    return made, {name: fitted[name] for name in names}


def run(
    contenders: Sequence[Contender],
    splits: Sequence[tuple[Cohort, Cohort]],
    progress: Tell | None = None,
    keep: dict[str, FusionModel] | None = None,
) -> list[str]:
    """Train and judge every contender on every split; returns notes on those that could not be trained.

    A fusion model that cannot be trained is an error; a baseline that cannot is a note.
    """
    notes = []
    for contender in contenders:
        for number, (train, test) in enumerate(splits):
            where = f" (fold {number + 1} of {len(splits)})" if len(splits) > 1 else ""
            try:
                fitted = contender.fit(train)
            except DataError as error:
                if contender.role == "model":
                    raise
                notes.append(f"{contender.name} could not be trained{where}: {error}")
                continue
            contender.judge(fitted, test, number)
            if keep is not None and contender.role == "model":
                keep[contender.name] = fitted
        if progress:
            progress(f"{contender.name}: {len(splits)} of {len(splits)} fitted in {contender.seconds:.0f} s")
    return notes


def field_of(models: FusionModel | Mapping[str, FusionModel], cohort: Cohort, baselines: bool) -> list[Contender]:
    """All contenders: the models, and with `baselines` each modality alone and a clinical regression."""
    mine = named(models)
    leads = [Contender(name, "model", model) for name, model in mine.items()]
    return [*leads, *(rivals(next(iter(mine.values())), cohort) if baselines else [])]


def rivals(model: FusionModel, cohort: Cohort) -> list[Contender]:
    """The baselines of a model: each modality alone, with the same settings, and a regression on the first table."""
    singles = [
        Contender(f"{name} alone", "modality", confined(model, name, cohort.modalities), only=name)
        for name in cohort.modalities
        if len(cohort.modalities) > 1
    ]
    tables = [name for name, modality in cohort.modalities.items() if isinstance(modality.spec, Table)]
    classical = [Contender(name, "baseline", ClinicalBaseline(name), only=name) for name in tables[:1]]
    return [*singles, *classical]


def confined(model: FusionModel, modality: str, modalities: Collection[str]) -> FusionModel:
    """The same settings for one modality."""
    mine = [spec for name, spec in (model.encoders or {}).items() if modality in read_by(name, modalities)]
    confined: FusionModel = clone(model).set_params(encoders={modality: mine[0]} if mine else None)
    return confined


def named(models: FusionModel | Mapping[str, FusionModel]) -> dict[str, FusionModel]:
    """The models by name."""
    if isinstance(models, Mapping):
        if not models:
            raise ConfigError("There are no models to validate.")
        return dict(models)
    return {title_of(models): models}


def title_of(model: FusionModel) -> str:
    """A name for a model: its fusion's."""
    fusion = model.fusion
    return f"fusion ({fusion if isinstance(fusion, str) else getattr(fusion, 'kind', type(fusion).__name__)})"


def report(
    contenders: Sequence[Contender],
    cohort: Cohort,
    notes: Sequence[str],
    replicates: int,
    seed: int,
    title: str,
    held_out: str,
) -> Report:
    """Everything as one report; each fusion model is compared with all others, on the patients both judged."""
    models = [contender for contender in contenders if contender.role == "model"]
    pairs = [(model, other) for model in models for other in contenders if other is not model]
    rows = [row for model, other in pairs for row in gaps(model, other, replicates, seed)]
    simulated = "simulated" in (cohort.title or "").lower()
    return Report(
        title=title,
        results=tuple(result for contender in contenders for result in contender.results(replicates, seed)),
        differences=pd.DataFrame(rows, columns=list(DIFFERENCES)),
        patterns=cohort.describe().patterns,
        history={c.name: pd.concat(c.histories, ignore_index=True) for c in contenders if c.histories},
        notes=(*(["These patients are simulated."] if simulated else []), *notes),
        manifest={
            "cohort": cohort.title or "untitled",
            "cohort fingerprint": cohort.fingerprint,
            "patients": str(len(cohort)),
            "judged on": held_out,
            "intervals": f"95 %, {replicates} patient-level bootstrap replicates, seed {seed}",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **{package: version(package) for package in ("fusiondx", "torch", "numpy", "scikit-learn")},
            "python": platform.python_version(),
        },
    )


def gaps(lead: Contender, other: Contender, replicates: int, seed: int) -> list[tuple[Any, ...]]:
    """Paired differences, lead minus other, in the primary metric of every target both answered."""
    rows: list[tuple[Any, ...]] = []
    for target, theirs in other.parts.items():
        ours = paired(lead.parts[target], theirs)
        if ours is None:
            continue
        kind, metric = theirs[0][1].spec.kind, primary_metric(theirs[0][1])
        found = difference(ours, theirs, metric, replicates=replicates, seed=seed)
        if isinstance(found, Estimate):
            span = (found.value, found.low, found.high, found.n)
            rows.append((lead.named(kind), other.named(kind), target, metric, *span))
    return rows


def paired(ours: Sequence[Part], theirs: Sequence[Part]) -> list[Part] | None:
    """Our parts confined to the patients they judged; None where they left out a whole part."""
    if len(ours) != len(theirs):
        return None
    matched = []
    for (prediction, truth), (other, _) in zip(ours, theirs, strict=True):
        place = pd.Index(prediction.ids).get_indexer(pd.Index(other.ids))
        matched.append((prediction.take(place), truth[place]))
    return matched


def refuse_overlap(train: Cohort, test: Cohort) -> None:
    """Raise `DataError` where a patient is on both sides."""
    shared = np.intersect1d(train.ids.astype(str), test.ids.astype(str))
    if len(shared):
        raise DataError(
            f"{counted(len(shared), 'held-out patient')} took part in training, so this would not be an evaluation: "
            f"{listed(shared)}. Split by patient, e.g. with cohort.split()."
        )
