"""Overview: what mattered over all patients of an explanation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from fusiondx.errors import counted
from fusiondx.explain.panels import TOP
from fusiondx.explain.question import unit_of
from fusiondx.reporting.portrait import Panel, Picture, sheet, sizes

if TYPE_CHECKING:
    from fusiondx.explain.explanation import Explanation


def overview(explanation: Explanation) -> Picture:
    """Mean sizes of contributions and attributions, the largest first."""
    target, patients = explanation.question.target, counted(len(explanation.cohort), "patient")
    outcomes = explanation.values["outcome"].unique().tolist()
    what = outcomes[0] if len(outcomes) == 1 else "each patient's most probable outcome"
    lines = [f"{unit_of(explanation.question, explanation.prediction).capitalize()} of {what}; {patients}."]
    return Picture(sheet(f"What drives {target}", lines, list(panels(explanation))))


def panels(explanation: Explanation) -> Iterator[Panel]:
    """One for modalities, and for columns and gene sets where there are any."""
    unit = f"Mean size of the push ({unit_of(explanation.question, explanation.prediction)})"
    has = explanation.modalities[explanation.modalities["present"]]
    columns = explanation.features[~explanation.features["modality"].isin(list(explanation.maps))]
    for title, frame, part, value in (
        ("Modalities, among patients who have them", has, "modality", "contribution"),
        ("Columns", columns, "column", "attribution"),
        ("Gene sets", explanation.pathways, "pathway", "attribution"),
    ):
        if len(frame):
            top = mean_sizes(frame, part, value)
            alt = f"{title}: " + "; ".join(f"{name} {size:.3g}" for name, size in top.items()) + "."
            yield Panel(title, sizes([str(n) for n in top.index], top.to_numpy(float), unit), alt, 1.0 + 0.3 * len(top))


def mean_sizes(frame: pd.DataFrame, part: str, value: str) -> pd.Series[float]:
    """The mean absolute value of each part, the largest few."""
    size = frame[value].abs().groupby([frame["modality"], frame[part]], sort=False).mean()
    top = size.sort_values(ascending=False, kind="stable")[:TOP]
    return pd.Series(top.to_numpy(float), index=[name for _, name in top.index])
