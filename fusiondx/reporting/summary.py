"""The summary of a report in words that do not oversell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import METRICS
from fusiondx.reporting.report import Report, Result
from fusiondx.reporting.words import ROLES, number, plain, signed, spread, title

_RIVALS = {"modality": "the best single modality", "baseline": "the best baseline"}
LEVEL = 0.05
"""Of significance, all comparisons of a target counted."""


def primary(results: Sequence[Result]) -> str | None:
    """The metric by which these results are compared; None where there is none."""
    return next((result.estimates[0].metric for result in results if result.estimates), None)


def best(results: Sequence[Result], metric: str) -> Result | None:
    """The result of best `metric`; None where none has a value."""
    sign = 1 if metric not in METRICS or METRICS[metric].higher_is_better else -1
    ranked = [(sign * e.value, result) for result in results if isinstance(e := result.estimate(metric), Estimate)]
    return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


def lead(report: Report, target: str) -> Result | None:
    """The fusion model a target's page is about: the best one, or the best result where there is no fusion model."""
    results = report.about(target)
    metric = primary(results)
    if metric is None:
        return None
    return best([result for result in results if result.role == "model"], metric) or best(results, metric)


def sentences(report: Report, target: str) -> str:
    """How good the leading model is for `target`, and how it compares, as one paragraph."""
    metric, leader = primary(report.about(target)), lead(report, target)
    if metric is None or leader is None:
        return "No model could be judged on these patients."
    rivals = [_rival(report, leader, role, metric) for role in _RIVALS if role != leader.role]
    return " ".join([_opening(report, leader, metric), *(sentence for sentence in rivals if sentence)])


def _opening(report: Report, leader: Result, metric: str) -> str:
    found = leader.estimate(metric)
    assert isinstance(found, Estimate)
    events = "" if found.events is None else f", {counted(found.events, _event(leader))}"
    interval = f"95 % interval {spread(found.low, found.high)}; {counted(found.n, 'patient')}{events}"
    peers = sum(result.role == leader.role for result in report.about(leader.target))
    which = "The best" if peers > 1 else "The"
    text = f"{which} {ROLES[leader.role]} is {plain(leader.model)}. {title(metric)} {number(found.value)} ({interval})."
    return text + (f" It is the best of {peers} on these same patients, which flatters it." if peers > 1 else "")


def _event(result: Result) -> str:
    return "event" if any("event" in truth.fields for _, truth in result.parts) else "positive"


def _rival(report: Report, leader: Result, role: str, metric: str) -> str:
    candidates = [result for result in report.about(leader.target) if result.role == role]
    rival = best(candidates, metric)
    if rival is None:
        return f"{_RIVALS[role].capitalize()} could not be judged." if candidates else ""
    against = f"{_RIVALS[role]}, {plain(rival.model)}"
    gap = paired(report, leader, rival, metric)
    if gap is None:
        return f"It was not compared patient by patient with {against}."
    told = f"difference {signed(gap['difference'])}, {_interval(gap)}"
    if _by_chance(gap):
        return f"It is not shown to differ from {against}, all comparisons counted ({told}; p {number(gap['p_holm'])})."
    return f"{_verdict(gap, metric)} {against} ({told})."


def paired(report: Report, model: Result, versus: Result, metric: str) -> dict[str, Any] | None:
    """The row of `report.differences` for two models; None where they were not compared, or without an interval."""
    wanted = {"model": model.model, "versus": versus.model, "target": model.target, "metric": metric}
    for row in report.differences.to_dict("records"):
        gap: dict[str, Any] = {str(column): value for column, value in row.items()}
        if wanted.items() <= gap.items() and gap["low"] is not None and gap["low"] <= gap["high"]:
            return gap
    return None


def _verdict(gap: dict[str, Any], metric: str) -> str:
    if gap["low"] <= 0 <= gap["high"]:
        return "It is not shown to differ from"
    better = (gap["difference"] > 0) == (metric not in METRICS or METRICS[metric].higher_is_better)
    return "It is better than" if better else "It is worse than"


def _by_chance(gap: dict[str, Any]) -> bool:
    """Whether a difference that its own interval shows is one that some comparison of so many may well show."""
    return not gap["low"] <= 0 <= gap["high"] and (gap.get("p_holm") or 0.0) > LEVEL


def _interval(gap: dict[str, Any]) -> str:
    return f"95 % interval {spread(gap['low'], gap['high'])}"
