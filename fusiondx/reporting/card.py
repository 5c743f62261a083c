"""The model card: what a model is for, how good it was, and what is not known of it (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator

from fusiondx.errors import counted, listed
from fusiondx.reporting.html import Section
from fusiondx.reporting.report import Report
from fusiondx.reporting.summary import lead, sentences
from fusiondx.reporting.words import plain

UNSAID = "Not stated. To be filled in before anyone relies on it."


def card(report: Report) -> Section:
    """The card of the models that lead a report."""
    return Section("Model card", facts=tuple(_facts(report)), anchor="card")


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    leaders = {target: found for target in report.targets if (found := lead(report, target)) is not None}
    yield "Model", plain(listed(dict.fromkeys(found.model for found in leaders.values()))) or UNSAID
    yield "Predicts", plain(listed(leaders)) or UNSAID
    yield "Made with", f"fusiondx {plain(report.manifest.get('fusiondx', 'of unknown version'))}"
    yield "Intended use and users", UNSAID
    yield "Out of scope", "Decisions about patients without further evidence: research software, no medical device."
    yield "Training patients", UNSAID
    yield "Judged on", plain(report.manifest.get("judged on", "the patients of this report"))
    for target in leaders:
        yield f"Performance: {plain(target)}", sentences(report, target)
    yield "Subgroups", "judged, see the table" if len(report.subgroups) else "not judged"
    yield "Missing modalities", "judged, see the table" if len(report.degradation) else "not judged"
    yield "Modalities used", "judged, see the table" if len(report.modality_use) else "not judged"
    yield "Leaks", _leaks(report)
    yield "Caveats", " ".join(plain(note) for note in report.notes) or "None recorded."


def _leaks(report: Report) -> str:
    if not len(report.audit.columns):
        return "not audited"
    found = report.audit.dropna(subset="message")
    return f"audited, {counted(len(found), 'finding')}, {int(found['waiver'].notna().sum())} waived"
