"""Audit: coded checks of a cohort, its split and a model, and what they found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.auditing.case import Case, Told
from fusiondx.auditing.checks import CHECKS, Severity
from fusiondx.auditing.columns import refuse_undatable
from fusiondx.data.cohort import Cohort
from fusiondx.data.splits import Fold
from fusiondx.errors import ConfigError, DataError, counted, did_you_mean


@dataclass(frozen=True)
class Finding:
    """What one check found.

    >>> for finding in fdx.audit(cohort, (train, test)).findings:
    ...     print(finding.code, finding.severity)
    FDX016 note
    """

    code: str
    title: str
    severity: Severity
    message: str
    waiver: str | None = None
    """Why it is accepted; None where it is not."""
    patients: str = ""
    """Ids of the patients it is about, where it is about some."""


@dataclass(frozen=True)
class AuditReport:
    """All findings, waived ones included.

    >>> found = fdx.audit(cohort, (train, test), model)
    >>> isinstance(found, fdx.AuditReport), found.ok
    (True, True)
    >>> found.frame().dropna(subset="message")["code"].tolist()
    ['FDX016']
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    """Codes of the checks that were made."""

    @property
    def open(self) -> tuple[Finding, ...]:
        """Findings that nobody waived."""
        return tuple(finding for finding in self.findings if finding.waiver is None)

    @property
    def ok(self) -> bool:
        """Whether no error is open."""
        return not any(finding.severity == "error" for finding in self.open)

    def frame(self) -> pd.DataFrame:
        """One row per check made: `code`, `title`, `severity`, `message` (None where it found nothing), `waiver`.

        Without patient ids, so that a report can hold it; those are in `findings`.
        """
        found = {finding.code: finding for finding in self.findings}
        made = [found.get(c.code, Finding(c.code, c.title, c.severity, "")) for c in CHECKS if c.code in self.checked]
        rows = [(f.code, f.title, f.severity, f.message or None, f.waiver) for f in made]
        return pd.DataFrame(rows, columns=["code", "title", "severity", "message", "waiver"], dtype=object)

    def to_json(self) -> str:
        """Findings and checks made, as JSON."""
        return json.dumps({"checked": list(self.checked), "findings": [asdict(f) for f in self.findings]}, indent=1)

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence per finding, patient ids included."""
        return tuple(line(finding) for finding in self.findings)

    def __str__(self) -> str:
        head = f"Audit: {counted(len(self.checked), 'check')}, {counted(len(self.findings), 'finding')}"
        waived = len(self.findings) - len(self.open)
        return "\n".join([f"{head}, {waived} waived." if waived else f"{head}.", *self.notes])


def line(finding: Finding) -> str:
    """A finding in one line."""
    waived = "" if finding.waiver is None else f" Waived: {finding.waiver}"
    message = f"{finding.message.removesuffix('.')}: {finding.patients}." if finding.patients else finding.message
    return f"{finding.code} {finding.severity}: {message}{waived}"


def audit(
    cohort: Cohort,
    split: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]] | tuple[Cohort, Cohort],
    model: Any = None,
    *,
    waivers: Mapping[str, str] | None = None,
    index: str | None = None,
    dated: Mapping[str, str] | None = None,
) -> AuditReport:
    """Look for the mistakes that make a model seem better than it is.

    Parameters
    ----------
    cohort:
        All patients, trained on and tested on.
    split:
        Folds as `Cohort.folds` gives them, or the two cohorts that `Cohort.split` gives.
    model:
        A fitted model, or several by name, to check that they saw no test patient.
    waivers:
        Why a finding is accepted, by code; the report shows it beside the finding.
    index:
        Column of the patient table with the date, or number, from which predictions are made.
    dated:
        Column of the patient table that says when an input was observed, by the input's column; a column called as the
        input with ``_date`` behind need not be named.

    Each check has a page, ``docs/audit/FDX001.md`` and so on. Raises `ConfigError` for a waiver of an unknown code or
    without a reason and for dates of what is no input, `DataError` where the split is not one of this cohort.

    Examples
    --------
    >>> found = fdx.audit(cohort, cohort.folds(2, group=None), waivers={"FDX005": "two sites are all there are"})
    >>> found.ok
    True
    """
    given = dict(waivers or {})
    refuse_waivers(given)
    models = model if isinstance(model, Mapping) else {} if model is None else {"the model": model}
    case = Case(cohort, folds_of(cohort, split), models, index, dated)
    refuse_undatable(case)
    found = [(check, check.find(case)) for check in CHECKS]
    findings = tuple(
        Finding(check.code, check.title, check.severity, told.message, given.get(check.code), told.patients)
        for check, said in found
        if (told := Told(said, "") if isinstance(said, str) else said) is not None
    )
    return AuditReport(findings, tuple(check.code for check in CHECKS))


def refuse_waivers(waivers: Mapping[str, str]) -> None:
    """Raise `ConfigError` for a waiver of an unknown code or without a reason."""
    codes = [check.code for check in CHECKS]
    for code, reason in waivers.items():
        if code not in codes:
            raise ConfigError(f"waivers: there is no check '{code}'.{did_you_mean(code, codes)}")
        if not str(reason or "").strip():
            raise ConfigError(f"waivers: {code} is waived without a reason. Write why it is acceptable.")


def folds_of(cohort: Cohort, split: Iterable[Any]) -> tuple[Fold, ...]:
    """The split as positions in the cohort."""
    pairs: list[Any] = list(split)
    sides = [side for side in pairs if isinstance(side, Cohort)]
    if len(sides) == len(pairs) == 2:
        train, test = (pd.Index(cohort.ids).get_indexer(pd.Index(side.ids)) for side in sides)
        if (train < 0).any() or (test < 0).any():
            raise DataError("The split has patients who are not in the cohort. Audit the cohort that was split.")
        return ((train, test),)
    try:
        return tuple((positions(cohort, train), positions(cohort, test)) for train, test in pairs)
    except IndexError as error:
        raise DataError("The split has positions beyond the cohort. Audit the cohort that was split.") from error


def positions(cohort: Cohort, side: Any) -> npt.NDArray[np.int64]:
    """One side of a fold counted from 0, whether given so, from the end or as a mask, as NumPy takes them."""
    index = np.asarray(side)
    return np.arange(len(cohort))[index if index.size else []]
