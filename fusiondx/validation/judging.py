"""Judging: models trained and tested on patients they never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.answering import Answering
from fusiondx.auditing.settings import Audit
from fusiondx.data.cohort import Cohort
from fusiondx.data.reads import count_read
from fusiondx.errors import ConfigError, DataError, counted, listed
from fusiondx.parallel import each
from fusiondx.reporting.report import Report
from fusiondx.validation.audited import USUAL, audited, audited_parts, with_modality_use
from fusiondx.validation.contender import Contender
from fusiondx.validation.reports import report
from fusiondx.validation.rivals import field_of, named, rivals, title_of

Index = npt.NDArray[np.integer[Any]]
Tell = Callable[[str], None]
Track = Callable[[Contender, int], None]


def evaluate(
    model: Answering,
    cohort: Cohort,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Evaluation",
    audit: Audit | None = USUAL,
    permutations: int = 0,
) -> Report:
    """Judge a fitted model on held-out patients.

    With `baselines`, each modality alone and a clinical regression are fitted on the model's own training patients
    (`model.cohort_`) and judged on the same held-out ones; a loaded model has no training patients to fit them on, and
    the report says so. `audit` says how to look for leaks (`fdx.audit`; None: not at all); with `permutations` the
    report says which modalities the model uses (`modality_audit`). Raises `DataError` if a held-out patient took part
    in training.

    >>> report = fdx.evaluate(model, test, replicates=20)
    >>> sorted({result.role for result in report.results})
    ['baseline', 'modality', 'model']
    """
    known = getattr(model, "cohort_", None)
    if known is not None:
        refuse_overlap(known, cohort)
    lead = Contender(title_of(model), "model", model, permutations=permutations)
    lead.judge(model, cohort)
    others, notes = [], note_read(cohort)
    if known is not None:
        others = rivals(model, known) if baselines else []
        notes += run(others, [(known, cohort)])
    elif baselines:
        notes.append(
            "No baselines: a loaded model does not know its training patients. Use cross_validate or train_test."
        )
    made = report([lead, *others], cohort, notes, replicates, seed, title, "held-out patients")
    made = with_modality_use(made, [lead], replicates, seed)
    return made if known is None else audited_parts(made, known, cohort, {lead.name: model}, audit)


def cross_validate(
    models: Answering | Mapping[str, Answering],
    cohort: Cohort,
    folds: int | Iterable[tuple[Index, Index]] = 5,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Cross-validation",
    progress: Tell | None = None,
    jobs: int = 1,
    track: Track | None = None,
    audit: Audit | None = USUAL,
    permutations: int = 0,
) -> Report:
    """Train and judge one or several models on the same folds; out-of-fold predictions stay in the report's results.

    `folds` is a number of folds, alike in the first target and site-preserved where the cohort has enough sites, or
    pairs of training and test index arrays as `Cohort.folds` gives. `jobs` fits run at a time, each in a process of
    its own with its share of the cores. `audit` and `permutations` as in `evaluate`.

    >>> models = {"gated": fdx.FusionModel(training=quick), "mean": fdx.FusionModel(fusion="mean", training=quick)}
    >>> report = fdx.cross_validate(models, cohort.select(["clinical"]), folds=2, baselines=False, replicates=20)
    >>> report.differences["metric"].unique().tolist()
    ['c_index', 'auroc']
    """
    pairs = cohort.folds(folds, seed=seed) if isinstance(folds, int) else list(folds)
    if not pairs:
        raise ConfigError("There are no folds to validate on.")
    contenders = field_of(models, cohort, baselines, permutations)
    notes = run(contenders, [(cohort[train], cohort[test]) for train, test in pairs], progress, jobs=jobs, track=track)
    made = report(contenders, cohort, notes, replicates, seed, title, f"{len(pairs)} folds")
    return audited(with_modality_use(made, contenders, replicates, seed), cohort, pairs, {}, audit)


def train_test(
    models: Answering | Mapping[str, Answering],
    train: Cohort,
    test: Cohort,
    *,
    baselines: bool = True,
    replicates: int = 1000,
    seed: int = 0,
    title: str = "Train and test",
    progress: Tell | None = None,
    jobs: int = 1,
    track: Track | None = None,
    audit: Audit | None = USUAL,
    permutations: int = 0,
) -> tuple[Report, dict[str, Answering]]:
    """Train one or several models, judge them on held-out patients; returns the report and the fitted models.

    Settings as in `evaluate` and `cross_validate`.

    >>> from fusiondx.validation import train_test
    >>> report, fitted = train_test(fdx.FusionModel(training=quick), train, test, baselines=False, replicates=20)
    >>> list(fitted)
    ['fusion (gated)']
    """
    refuse_overlap(train, test)
    contenders = field_of(models, train, baselines, permutations)
    fitted: dict[str, Answering] = {}
    notes = note_read(test) + run(contenders, [(train, test)], progress, fitted, jobs, track)
    made = report(contenders, test, notes, replicates, seed, title, "held-out patients")
    kept = {name: fitted[name] for name in named(models)}
    return audited_parts(with_modality_use(made, contenders, replicates, seed), train, test, kept, audit), kept


def run(
    contenders: Sequence[Contender],
    splits: Sequence[tuple[Cohort, Cohort]],
    progress: Tell | None = None,
    keep: dict[str, Answering] | None = None,
    jobs: int = 1,
    track: Track | None = None,
) -> list[str]:
    """Train and judge every contender on every split, `jobs` at a time; returns notes on those that could not be
    trained. `track` hears of every fit, in order: the contender with what it achieved on one split, and which.

    A fusion model that cannot be trained is an error; a baseline that cannot is a note.
    """
    notes, parts = [], list(enumerate(splits))
    tasks = [(c.fresh(), *pair, number, keep is not None) for c in contenders for number, pair in parts]
    found = each(attempt, tasks, jobs)
    for contender in contenders:
        for number, _ in parts:
            where = f" (fold {number + 1} of {len(splits)})" if len(splits) > 1 else ""
            achieved, fitted, reason = next(found)
            contender.absorb(achieved)
            if reason:
                notes.append(f"{contender.name} could not be trained{where}: {reason}")
                continue
            if track:
                track(achieved, number)
            if keep is not None and fitted is not None:
                keep[contender.name] = fitted
        if progress:
            progress(f"{contender.name}: {len(splits)} of {len(splits)} fitted in {contender.seconds:.0f} s")
    return notes


def note_read(test: Cohort) -> list[str]:
    """Count that these patients are judged, where a split file holds them out, and say how often that makes."""
    said = count_read(test)
    return [] if said is None else [said]


def attempt(
    contender: Contender, train: Cohort, test: Cohort, fold: int, keep: bool
) -> tuple[Contender, Answering | None, str]:
    """What a fresh contender achieves on one fold, the model if asked for, and why it could not be trained, if so."""
    try:
        fitted = contender.fit(train)
    except DataError as error:
        if contender.role == "model":
            raise
        return contender, None, str(error)
    contender.judge(fitted, test, fold)
    return contender, fitted if keep and contender.role == "model" else None, ""


def refuse_overlap(train: Cohort, test: Cohort) -> None:
    """Raise `DataError` where a patient is on both sides."""
    shared = np.intersect1d(train.ids.astype(str), test.ids.astype(str))
    if len(shared):
        raise DataError(
            f"{counted(len(shared), 'held-out patient')} took part in training, so this would not be an evaluation: "
            f"{listed(shared)}. Split by patient, e.g. with cohort.split()."
        )
