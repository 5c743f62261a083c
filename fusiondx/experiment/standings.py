"""Standings: how the models of a comparison stand to each other, one row per model and target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import METRICS
from fusiondx.reporting.report import Report, Result
from fusiondx.reporting.words import aligned, count, duration, outcome, plain, signed, spread, title

RIVALS = ("first", "modality", "baseline")
"""What each model is compared with: the first model, the best single modality, the clinical baseline."""
HEADS = {"first": "minus {}", "modality": "minus {} (best single)", "baseline": "minus {}"}
COLUMNS = (
    *("target", "model", "role", "parameters", "seconds", "metric", "estimate", "low", "high", "patients"),
    *(column for rival in RIVALS for column in (rival, *(f"{end}_{rival}" for end in ("gain_over", "low", "high")))),
)


def standings(report: Report) -> pd.DataFrame:
    """One row per target and model, in the report's order. Columns: `COLUMNS`.

    ``estimate`` is that of the primary metric, with its 95 % interval; ``first``, ``modality`` and ``baseline`` name
    who the model is compared with, ``gain_over_...`` is the paired difference on the patients both judged. The best
    single modality is the one with the best estimate on the patients who have it.
    """
    rows = [row for target in report.targets for row in target_rows(report, report.about(target))]
    whole = {"parameters": "Int64", "patients": "Int64"}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(whole)


def target_rows(report: Report, results: Sequence[Result]) -> list[dict[str, object]]:
    """The rows of one target."""
    rivals = {rival: found.model for rival, found in rivals_of(results).items()}
    return [own_columns(result) | gain_columns(report, result, rivals) for result in results]


def rivals_of(results: Sequence[Result]) -> dict[str, Result]:
    """The results that others are compared with, where there are such."""
    found = {
        "first": next((r for r in results if r.role == "model"), None),
        "modality": best([r for r in results if r.role == "modality"]),
        "baseline": next((r for r in results if r.role == "baseline"), None),
    }
    return {rival: result for rival, result in found.items() if result is not None}


def best(results: Sequence[Result]) -> Result | None:
    """The result with the best defined estimate of its primary metric."""
    judged = [(r.estimates[0], r) for r in results]
    worth = {
        r.model: e.value if METRICS[e.metric].higher_is_better else -e.value
        for e, r in judged
        if isinstance(e, Estimate)
    }
    return max((r for r in results if r.model in worth), key=lambda r: worth[r.model], default=None)


def own_columns(result: Result) -> dict[str, object]:
    """What a result says of itself."""
    primary = result.estimates[0]
    row: dict[str, object] = {name: getattr(result, name) for name in ("target", "model", "role", "parameters")}
    row |= {"seconds": result.seconds, "metric": primary.metric, "patients": primary.n}
    if isinstance(primary, Estimate):
        row |= {"estimate": primary.value, "low": primary.low, "high": primary.high}
    return row


def gain_columns(report: Report, result: Result, rivals: dict[str, str]) -> dict[str, object]:
    """What a model gains over each rival; only what was compared has numbers."""
    row: dict[str, object] = {}
    for rival, versus in rivals.items():
        row[rival] = versus
        gap = report.differences.query("model == @result.model and versus == @versus and target == @result.target")
        for mine, theirs in (("gain_over", "difference"), ("low", "low"), ("high", "high")):
            row[f"{mine}_{rival}"] = gap[theirs].iloc[0] if len(gap) else None
    return row


def listing(report: Report) -> str:
    """The standings as plain text, a table per target."""
    frame = standings(report)
    tables = [table(report, target, frame[frame["target"] == target]) for target in report.targets]
    notes = [plain(note) for note in report.notes]
    return "\n\n".join([plain(report.title), *tables, *notes])


def table(report: Report, target: str, rows: pd.DataFrame) -> str:
    """One target as a plain table."""
    results = report.about(target)
    rivals = [rival for rival in RIVALS if rows[rival].notna().any() and rows[f"gain_over_{rival}"].notna().any()]
    head = ["model", "parameters", "time", "patients", f"{title(rows['metric'].iloc[0])} (95 % interval)"]
    head += [HEADS[rival].format(plain(rows[rival].iloc[0])) for rival in rivals]
    lines = [head] + [
        [
            plain(result.model),
            count(result.parameters),
            duration(result.seconds),
            str(result.estimates[0].n),
            outcome(result.estimates[0]),
            *(gain(row, rival) for rival in rivals),
        ]
        for result, row in zip(results, rows.to_dict("records"), strict=True)
    ]
    return "\n".join([plain(target), *aligned(lines)])


def gain(row: Mapping[Any, Any], rival: str) -> str:
    """``+0.023 (0.004 to 0.043)``, or nothing where there was no comparison."""
    value, low, high = (row[f"{end}_{rival}"] for end in ("gain_over", "low", "high"))
    if pd.isna(value):
        return ""
    return f"{signed(value)} ({spread(low, high)})"
