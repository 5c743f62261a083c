"""Report: what models were worth on held-out patients, as tables, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from fusiondx.core.predictions import Prediction
from fusiondx.core.targets import TargetValues
from fusiondx.errors import RunError
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.reporting.words import ROLES, aligned, number, outcome, plain, title

Part = tuple[Prediction, TargetValues]
DIFFERENCES = ("model", "versus", "target", "metric", "difference", "low", "high", "n", "p", "p_holm")
SUBGROUPS = ("target", "model", "column", "group", "metric", "n", "events", "estimate", "low", "high", "reason")
FAILURES = ("target", "model", "patient", "true", "predicted")


@dataclass(frozen=True)
class Result:
    """One model's answer to one target on held-out patients."""

    model: str
    """Name to show, such as "clinical + omics + mri (gated)"."""
    role: Literal["model", "modality", "baseline"]
    """A fusion model, a network of a single modality, or a classical baseline."""
    target: str
    parts: tuple[Part, ...]
    """Predictions and true values of the same patients in the same order: one pair per fold, or a single test set."""
    estimates: tuple[Outcome, ...]
    """One per metric. The first is the metric by which models are compared."""
    seconds: float | None = None
    """Time it took to fit."""
    parameters: int | None = None
    cuts: tuple[float | None, ...] = ()
    """Per part: the risk above which a patient counts as high-risk, taken from training patients."""

    def estimate(self, metric: str) -> Outcome | None:
        """The outcome of `metric`; None where it was not asked for."""
        return next((e for e in self.estimates if e.metric == metric), None)

    @property
    def known(self) -> tuple[Part, ...]:
        """`parts` without the patients whose true value is unknown."""
        return tuple((prediction.take(truth.known), truth[truth.known]) for prediction, truth in self.parts)


@dataclass(frozen=True)
class Report:
    """The results of one or several models, and what a reader must know to judge them.

    >>> isinstance(report, fdx.Report)
    True
    >>> report.targets
    ('survival', 'diagnosis')
    >>> report.frame()[["model", "target", "metric"]].head(2)
                model    target   metric
    0  fusion (gated)  survival  c_index
    1  fusion (gated)  survival    uno_c
    >>> page = report.to_html("report.html")
    """

    title: str
    results: tuple[Result, ...]
    differences: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(DIFFERENCES)))
    """Paired differences on the same patients, `model` minus `versus`, the clinical baseline first. Columns:
    `DIFFERENCES`, of which `p_holm` is corrected for all comparisons of a target."""
    patterns: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Which modalities patients have: one row per pattern, with counts."""
    history: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Training curves by model: `epoch`, `train_loss`, `validation_loss`; of several, `fold` and `member` too."""
    trials: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Settings tried inside the training patients, by model; one row per trial, and per `fold`."""
    subgroups: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(SUBGROUPS)))
    """The primary metric by group of patients, where groups were asked for. Columns: `SUBGROUPS`."""
    degradation: pd.DataFrame = field(default_factory=pd.DataFrame)
    """How good a model is from each pattern of modalities, as `Degradation.frame` gives it."""
    modality_use: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Which modalities a model makes use of, as `ModalityAudit.frame` gives it, and a column `model`."""
    audit: pd.DataFrame = field(default_factory=pd.DataFrame)
    """What each check for leaks found, waivers included, as `AuditReport.frame` gives it."""
    failures: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(FAILURES)))
    """The worst predictions, where they were asked for; it holds patient ids. Columns: `FAILURES`."""
    notes: tuple[str, ...] = ()
    """Caveats, in words."""
    manifest: Mapping[str, str] = field(default_factory=dict)
    """Versions, seeds, cohort fingerprint, dates."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets in the order in which they appear."""
        return tuple(dict.fromkeys(result.target for result in self.results))

    def about(self, target: str) -> tuple[Result, ...]:
        """The results for one target."""
        return tuple(result for result in self.results if result.target == target)

    def frame(self) -> pd.DataFrame:
        """One row per model, target and metric; where a metric is undefined, `estimate` is NA and `reason` says why."""
        rows = [_row(result, metric) for result in self.results for metric in result.estimates]
        kinds = {"estimate": "Float64", "low": "Float64", "high": "Float64", "n": "int64", "events": "Int64"}
        columns = ["model", "role", "target", "metric", "estimate", "low", "high", "n", "events", "method", "reason"]
        return pd.DataFrame(rows, columns=columns).astype(kinds)

    def to_json(self, path: str | Path | None = None) -> str:
        """Everything needed to draw the page again, without patient ids (but for those of `failures`); also written to
        `path` when given. Raises `RunError` where that cannot be written.

        Predictions are kept for patients with a known true value; survival curves at the times the page looks at.
        """
        from fusiondx.reporting.record import write

        text = write(self)
        if path is not None:
            _write(Path(path), text)
        return text

    @staticmethod
    def from_json(path: str | Path) -> Report:
        """The report that `to_json` wrote; patients are numbered from 1. Raises `RunError` where that fails."""
        from fusiondx.reporting.record import read

        return read(Path(path))

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one self-contained page, which loads nothing and runs no script. Raises `RunError` where
        that cannot be written."""
        # matplotlib and Jinja are loaded only when a page is drawn
        from fusiondx.reporting.html import render
        from fusiondx.reporting.page import compose

        return _write(Path(path), render(compose(self)))

    def checklists(self) -> pd.DataFrame:
        """TRIPOD+AI, CLAIM, REMARK and PROBAST+AI, an item ticked only where the page shows what it asks for."""
        from fusiondx.reporting.checklists import checklist_frame
        from fusiondx.reporting.page import evidence, sections_of

        return checklist_frame(evidence(sections_of(self)))

    def __str__(self) -> str:
        return "\n\n".join([plain(self.title), *(_listing(target, self.about(target)) for target in self.targets)])


def _write(path: Path, text: str) -> Path:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"The report could not be written to {path}: {error.strerror or error}.") from error
    return path


def _row(result: Result, found: Outcome) -> dict[str, object]:
    row: dict[str, object] = {
        "model": result.model,
        "role": result.role,
        "target": result.target,
        "metric": found.metric,
    }
    row |= {"n": found.n, "events": found.events}
    if isinstance(found, Undefined):
        return row | {"estimate": None, "low": None, "high": None, "method": "", "reason": found.reason}
    return row | {
        "estimate": found.value,
        "low": found.low,
        "high": found.high,
        "method": found.method,
        "reason": "",
    }


def _listing(target: str, results: tuple[Result, ...]) -> str:
    """One target as a plain table: the first metric with its interval, the others without."""
    metrics = tuple(dict.fromkeys(e.metric for result in results for e in result.estimates))
    head = (
        "model",
        "role",
        "patients",
        *(title(m) if i else f"{title(m)} (95 % interval)" for i, m in enumerate(metrics)),
    )
    rows = [head, *(_cells(result, metrics) for result in results)]
    undefined = [e for result in results for e in result.estimates if isinstance(e, Undefined)]
    reasons = dict.fromkeys(f"{title(e.metric)} undefined: {plain(e.reason)}" for e in undefined)
    return "\n".join([plain(target), *aligned(rows), *reasons])


def _cells(result: Result, metrics: tuple[str, ...]) -> tuple[str, ...]:
    found = [result.estimate(metric) for metric in metrics]
    patients = str(max((e.n for e in result.estimates), default=0))
    values = ["" if e is None else outcome(e) if not i else _value(e) for i, e in enumerate(found)]
    return (plain(result.model), ROLES[result.role], patients, *values)


def _value(found: Outcome) -> str:
    return number(found.value) if isinstance(found, Estimate) else "undefined"
