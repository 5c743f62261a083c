"""Write docs/encoders.md: every encoder of the union, and what it gave on a real cohort.

Run by `make tables` as ``python docs/encoders.py RUNS``, where RUNS holds the run folders of the experiments below.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from fusiondx.encoders import AnyEncoder
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import METRICS
from fusiondx.reporting.report import Report, Result

PAGE = Path(__file__).parent / "encoders.md"
RUNS = ("glioma/encoders_clinical", "glioma/encoders_omics", "nsclc_ct/encoders", "derm7pt/encoders", "derm7pt/bags")
HEAD = """\
# Encoders

Written by `make tables`. An encoder turns the observations of one modality into tokens. Name one in Python
(`encoders={{"mri": "unet"}}`, `encoders={{"mri": fdx.UNet(channels=8)}}`) or in YAML (`encoders: {{mri: unet}}`); any
other name is looked up among timm's models.

{table}

## On real patients

One modality at a time, default settings where the configuration does not say otherwise, the same folds for all
encoders of an experiment. Passes per second: training patients times epochs, by the time that fitting took, on one
thread of a machine shared with other work; for encoders that look at images once, that includes looking.

{measured}
"""


def members() -> dict[str, Any]:
    """The encoders of the union, by name."""
    return {member.kind: member for member in get_args(get_args(AnyEncoder)[0])}


def listed() -> Iterator[str]:
    """A row for each encoder."""
    yield "| encoder | reads | |"
    yield "|---|---|---|"
    for name, member in members().items():
        said = " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split())
        yield f"| `{name}` | {', '.join(member.accepts)} | {said} |"


def measured(runs: Path) -> Iterator[str]:
    """A table for each experiment."""
    for name in RUNS:
        if not (runs / name / "report.json").is_file():
            yield f"`configs/{name}.yaml`: not run for this page.\n"
            continue
        report = Report.from_json(runs / name / "report.json")
        settings = yaml.safe_load((runs / name / "experiment.resolved.yaml").read_text(encoding="utf-8"))
        yield f"### {report.title}\n"
        yield f"`configs/{name}.yaml`, {report.manifest['patients']} patients, {report.manifest['judged on']}.\n"
        yield f"| model | encoder | parameters | passes per second | {metric(report)} (95 % interval) |"
        yield "|---|---|---|---|---|"
        for result in report.results:
            kinds = [encoder["kind"] for encoder in settings["models"][result.model]["encoders"].values()]
            yield row(result, ", ".join(f"`{kind}`" for kind in kinds), passes(report, result))
        yield ""


def row(result: Result, encoder: str, passes: float) -> str:
    """One model of an experiment."""
    found = result.estimates[0]
    assert isinstance(found, Estimate)
    figure = f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"| {result.model} | {encoder} | {result.parameters:,} | {passes:,.0f} | {figure} |"


def metric(report: Report) -> str:
    """What the experiment is judged by."""
    return METRICS[report.results[0].estimates[0].metric].title


def passes(report: Report, result: Result) -> float:
    """Training patients times epochs, per second."""
    history = report.history[result.model]
    patients = int(report.manifest["patients"])
    folds = history["fold"].nunique()
    share = (folds - 1) / folds * 0.8  # without the held-out fold and the validation part
    return len(history) * patients * share / result.seconds


def main() -> None:
    page = HEAD.format(table="\n".join(listed()), measured="\n".join(measured(Path(sys.argv[1]))))
    PAGE.write_text(page.rstrip() + "\n", encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
