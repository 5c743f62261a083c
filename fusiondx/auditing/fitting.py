"""Fitting: did anything that was fitted see the test patients?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fusiondx.auditing.association import z_scores
from fusiondx.auditing.case import Case, Told
from fusiondx.data.preprocess import TablePreparation
from fusiondx.errors import counted, listed

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

EXACT, NEAR = 1e-4, 2e-3
"""How near to mean 0 and standard deviation 1 a column is that was standardised: taken alone, or as one of many."""
DISTINCT = 20
"""Values a column must have for its mean and range to say anything."""
PANEL = 20
"""Columns a table must have before it can be told whether they were selected."""
EDGE = 1.6
"""Association, in standard errors, that nearly all columns exceed if they were selected by it."""
EXCESS = 1.2
"""Median excess over that edge, times the edge, of selected noise; about log 2 in theory, more for real signals."""


def on_test_patients(case: Case) -> Told | None:
    """FDX004. A model whose training patients, or whose preprocessing, include test patients of every fold."""
    each = {name: saw_test_patients(case, model) for name, model in case.models.items()} if case.folds else {}
    found = {name: told for name, told in each.items() if told is not None}
    if not found:
        return None
    said = " ".join(f"{name}: {told.message}" if len(case.models) > 1 else told.message for name, told in found.items())
    return Told(said, listed(dict.fromkeys(told.patients for told in found.values() if told.patients)))


def saw_test_patients(case: Case, model: Any) -> Told | None:
    """What is to be said of one model."""
    trained = getattr(model, "cohort_", None)
    if trained is None:
        return prepared_on_all(case, model)
    seen = np.isin(case.cohort.ids.astype(str), trained.ids.astype(str))
    tested = [test[seen[test]] for _, test in case.folds]
    if any(len(both) == 0 for both in tested):
        return None  # a fold there is that the model can be judged on
    worst = np.unique(np.concatenate(tested))
    return Told(f"The model was trained on {counted(len(worst), 'test patient')}.", listed(case.cohort.ids[worst]))


def prepared_on_all(case: Case, model: Any) -> Told | None:
    """Of a model without its training patients: whether its means are those of all patients, not of a training part."""
    told = []
    for name, preparation in getattr(model, "preparations_", {}).items():
        if isinstance(preparation, TablePreparation) and preparation.numeric and name in case.numeric:
            names, values = case.numeric[name]
            columns = [names.index(c) for c in preparation.numeric if c in names and c not in preparation.log]
            kept = [i for i, c in enumerate(preparation.numeric) if c in names and c not in preparation.log]
            mine, median = np.array(preparation.mean)[kept], np.array(preparation.median)[kept]

            def fits(rows: Array, values: Floats = values[:, columns], mine: Floats = mine, m: Floats = median) -> bool:
                part = values[rows]
                part = part[~np.isnan(part).all(axis=1)]
                filled = np.where(np.isnan(part), m, part)
                return len(part) > 0 and bool(np.allclose(filled.mean(axis=0), mine, rtol=1e-4, atol=1e-6))

            if fits(np.arange(len(case.cohort))) and not any(fits(train) for train, _ in case.folds):
                told.append(name)
    if not told:
        return None
    return Told(f"The model's preprocessing of {listed(told)} was fitted on all patients, test ones included.", "")


def scaled_on_all(case: Case) -> str | None:
    """FDX007. Columns with mean 0 and standard deviation 1, or from 0 to 1, over all patients but not over those
    trained on."""
    found = []
    for name, (names, values) in case.numeric.items():
        whole = scaled(values)
        inside = np.any([scaled(values[train]) for train, _ in case.folds], axis=0) if case.folds else ~whole
        found += [f"{name}.{names[j]}" for j in np.flatnonzero(whole & ~inside)]
    if not found:
        return None
    return f"{counted(len(found), 'column')} scaled over all patients, test ones included: {listed(found)}."


def scaled(values: Floats) -> npt.NDArray[np.bool_]:
    """Which columns were standardised, or brought to a range from 0 to 1, over exactly these patients."""
    n = (~np.isnan(values)).sum(axis=0)
    distinct = np.array([len(np.unique(column[~np.isnan(column)])) for column in values.T]) >= DISTINCT
    zeroed = np.where(np.isnan(values), 0.0, values)
    mean = zeroed.sum(axis=0) / np.maximum(n, 1)
    sd = np.sqrt(np.where(np.isnan(values), 0.0, (values - mean) ** 2).sum(axis=0) / np.maximum(n, 1))
    # divided by n or by n - 1, which differ by about 1 / (2 n)
    off = np.minimum(np.abs(sd - 1), np.abs(sd * np.sqrt(n / np.maximum(n - 1, 1)) - 1))
    exact, near = (distinct & (np.abs(mean) < t) & (off < t) for t in (EXACT, NEAR))
    many = near.sum() >= max(3, 0.02 * values.shape[1])
    low, high = (np.sum(values == end, axis=0) for end in (0.0, 1.0))
    bounded = np.all(np.isnan(values) | ((values >= 0) & (values <= 1)), axis=0)
    ranged = distinct & bounded & (low == 1) & (high == 1)
    return np.asarray((near if many else exact) | (ranged if ranged.sum() > 1 else False))


def selected_on_all(case: Case) -> str | None:
    """FDX008. Tables all of whose columns are associated with an answer, just so much that a filter explains it.

    Noise selected by its association ends sharply at a threshold t and exceeds it by about log(2) / t in the median; a
    table as it was measured has columns that tell nothing, and signals exceed any threshold by more.
    """
    found = []
    for name, (names, values) in case.numeric.items():
        if len(names) >= PANEL:
            found += [
                f"{name} ({len(names)} columns, {answer.name}, none below {edge:.1f} standard errors)"
                for answer in case.answers
                if (edge := sharp_edge(np.abs(z_scores(values, answer.values)))) is not None
            ]
    return f"Columns selected by the answer on all patients, test ones included: {listed(found)}." if found else None


def sharp_edge(strength: Floats) -> float | None:
    """The association above which nearly all columns lie, crowded; None where there is no such edge."""
    edge = float(np.quantile(strength, 0.05))
    crowded = float(np.median(strength) - edge) * edge <= EXCESS * np.log(2) * 1.5
    return edge if edge >= EDGE and crowded else None
