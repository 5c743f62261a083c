"""Columns: is an input the answer, from the future, a name, or nothing?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.auditing.association import z_scores
from fusiondx.auditing.case import Answer, Case
from fusiondx.data.dates import moments
from fusiondx.errors import ConfigError, counted, did_you_mean, listed
from fusiondx.evaluation.delong import estimate_auroc
from fusiondx.evaluation.discrimination import concordance
from fusiondx.evaluation.estimate import Estimate

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

PROXY, AT_LEAST = 0.95, 0.9
"""AUROC or C-index from which one column is taken for the answer, and what its interval must stay above."""
REPLICATES = 200
LEVELS = 20
"""Patients there must be per category for their outcomes to be a score."""


def proxies(case: Case) -> str | None:
    """FDX009. Single columns that tell an answer nearly perfectly."""
    found = [
        f"{where} tells {answer.name} ({told})"
        for where, column in scores(case)
        for answer in case.answers
        if (told := tells(column(answer) if callable(column) else column, answer)) is not None
    ]
    return f"{counted(len(found), 'column')} nearly the answer: {listed(found)}." if found else None


def scores(case: Case) -> Iterator[tuple[str, Any]]:
    """Every column as a score; that of a categorical one depends on the answer."""
    for name, (names, values) in case.numeric.items():
        yield from ((f"{name}.{column}", values[:, j]) for j, column in enumerate(names))
    for (name, column), values in case.categorical.items():
        yield f"{name}.{column}", lambda answer, values=values: by_category(values, answer)


def by_category(values: Array, answer: Answer) -> Floats:
    """The mean answer of each patient's category; of gaps and of too many categories, nothing."""
    known = answer.known & np.array([v is not None for v in values])
    score = np.full(len(values), np.nan)
    names, place, members = np.unique(values[known].astype(str), return_inverse=True, return_counts=True)
    if len(names) > 1 and members.sum() >= LEVELS * len(names):
        score[known] = (np.bincount(place, answer.values[known]) / members)[place]
    return score


def tells(column: Floats, answer: Answer) -> str | None:
    """How well, where that is nearly perfectly."""
    both = ~np.isnan(column) & answer.known
    if both.sum() < 10 or abs(z_scores(column[:, None], answer.values)[0]) < 3 or np.ptp(column[both]) == 0:
        return None
    score = column[both] * np.sign(z_scores(column[:, None], answer.values)[0])
    if answer.event is not None and answer.time is not None:
        return tells_when(score, answer.time[both], answer.event[both])
    if answer.binary:
        found = estimate_auroc(score, answer.values[both] == 1)
        if not isinstance(found, Estimate) or found.value < PROXY or found.low < AT_LEAST:
            return None
        return f"AUROC {found.value:.3f}, {found.low:.3f} to {found.high:.3f}"
    ranks = np.stack([np.argsort(np.argsort(v)) for v in (score, answer.values[both])])
    r = z_scores(ranks[:1].T.astype(np.float64), ranks[1].astype(np.float64))[0] / np.sqrt(both.sum() - 1)
    return f"rank correlation {r:.3f}" if r >= PROXY else None


def tells_when(score: Floats, time: Floats, event: Array) -> str | None:
    """The C-index of a score, with a bootstrap interval, where it is nearly perfect."""
    value = float(concordance(score, time, event))
    if not value >= PROXY:
        return None
    drawn = np.random.default_rng(0).multinomial(len(time), np.full(len(time), 1 / len(time)), REPLICATES)
    low, high = np.nanquantile(concordance(score, time, event, drawn.astype(np.float64)), [0.025, 0.975])
    return f"C-index {value:.3f}, {low:.3f} to {high:.3f}" if low >= AT_LEAST else None


def later_than_index(case: Case) -> str | None:
    """FDX010. Inputs observed after the time from which predictions are made."""
    found = [*dated_later(case), *timed_later(case)]
    return f"Observed after the index time: {listed(found)}." if found else None


def timed_later(case: Case) -> Iterator[str]:
    """Modalities with times of observation after baseline, or after the landmark."""
    limit = case.cohort.landmarked or 0.0
    for name, modality in case.cohort.modalities.items():
        later = int(modality.later(limit).sum())
        if later:
            yield f"{name} ({counted(later, 'patient')})"


def dated_later(case: Case) -> Iterator[str]:
    """Columns whose date in the patient table is later than the index date."""
    if case.index is None:
        return
    index, _ = moments(case.cohort.column(case.index))
    for column, date in {**dates_by_name(case, case.inputs), **(case.dated or {})}.items():
        when, _ = moments(case.cohort.column(date))
        later = int(np.sum(when > index))
        if later:
            yield f"{column} ({counted(later, 'patient')}, by '{date}')"


def refuse_undatable(case: Case) -> None:
    """Raise `ConfigError` where `dated` names what is no input or lacks an index time, or a column holds no times."""
    if case.dated and case.index is None:
        raise ConfigError("dated: give 'index' as well, the column with the time from which predictions are made.")
    for column in case.dated or {}:
        if column not in case.inputs:
            raise ConfigError(f"dated: no input column '{column}'.{did_you_mean(column, case.inputs)}")
    for column in filter(None, (case.index, *(case.dated or {}).values())):
        if not np.isfinite(moments(case.cohort.column(column))[0]).any():
            raise ConfigError(f"Column '{column}' holds neither numbers nor dates such as 2015-03-31.")


def dates_by_name(case: Case, inputs: list[str]) -> dict[str, str]:
    """Columns of the patient table that date an input by their name: ``psa`` and ``psa_date``."""
    there = set(case.cohort.table.columns)
    return {column: f"{column}_date" for column in inputs if f"{column}_date" in there}


def identifiers(case: Case) -> str | None:
    """FDX011. Columns that name patients instead of describing them."""
    found = [f"{name}.{c}" for name, (cs, v) in case.numeric.items() for j, c in enumerate(cs) if numbered(v[:, j])]
    found += [f"{name}.{column}" for (name, column), values in case.categorical.items() if named(values)]
    return f"{counted(len(found), 'column')} that name patients: {listed(found)}." if found else None


def numbered(column: Floats) -> bool:
    """Whole numbers, all different, that rise or fall with the row."""
    known = column[~np.isnan(column)]
    if len(known) < 20 or len(np.unique(known)) < len(known) or (known != np.round(known)).any():
        return False
    return bool(abs(np.corrcoef(known, np.arange(len(known)))[0, 1]) > 0.999)


def named(values: Array) -> bool:
    """A category of their own for nearly all."""
    known = [v for v in values if v is not None]
    return len(known) >= 20 and len(set(known)) > 0.9 * len(known)


def idle(case: Case) -> str | None:
    """FDX012. Columns that are constant or empty among some fold's training patients."""
    parts = [train for train, _ in case.folds] or [np.arange(len(case.cohort))]
    found = []
    for name, (names, values) in case.numeric.items():
        still = np.any([constant(values[train]) for train in parts], axis=0)
        found += [f"{name}.{names[j]}" for j in np.flatnonzero(still)]
    for (name, column), values in case.categorical.items():
        if any(len({v for v in values[train] if v is not None}) < 2 for train in parts):
            found.append(f"{name}.{column}")
    return (
        f"{counted(len(found), 'column')} constant or empty among training patients: {listed(found)}."
        if found
        else None
    )


def constant(values: Floats) -> Array:
    """Which columns hold one value or none."""
    low, high = (bound.reduce(values, axis=0, initial=np.nan) for bound in (np.fmin, np.fmax))
    return np.asarray(~(low < high))
