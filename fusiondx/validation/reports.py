"""From contenders to a report: what each achieved, and how they differ on the same patients."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pandas as pd

from fusiondx.data.cohort import Cohort
from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.metrics import primary_metric
from fusiondx.evaluation.score import difference
from fusiondx.reporting.multiplicity import adjusted
from fusiondx.reporting.report import DIFFERENCES, Part, Report
from fusiondx.validation.contender import Contender


def report(
    contenders: Sequence[Contender],
    cohort: Cohort,
    notes: Sequence[str],
    replicates: int,
    seed: int,
    title: str,
    held_out: str,
    pairs: Sequence[tuple[Contender, Contender]] | None = None,
) -> Report:
    """Everything as one report; each fusion model is compared with all others (or as `pairs` say), on the patients
    both judged."""
    if pairs is None:
        models = [contender for contender in contenders if contender.role == "model"]
        pairs = [(model, other) for model in models for other in contenders if other is not model]
    # the baseline first: what a model adds to it is the first question
    first = sorted(pairs, key=lambda pair: pair[1].role != "baseline")
    rows = [row for model, other in first for row in gaps(model, other, replicates, seed)]
    simulated = "simulated" in (cohort.title or "").lower()
    return Report(
        title=title,
        results=tuple(result for contender in contenders for result in contender.results(replicates, seed)),
        differences=adjusted(pd.DataFrame(rows, columns=list(DIFFERENCES[:-1]))),
        patterns=cohort.describe().patterns,
        history={c.name: pd.concat(c.histories, ignore_index=True) for c in contenders if c.histories},
        trials={c.name: pd.concat(c.trials, ignore_index=True) for c in contenders if c.trials},
        notes=(*(["These patients are simulated."] if simulated else []), *unreadable(cohort), *notes),
        manifest={
            "cohort": cohort.title or "untitled",
            "cohort fingerprint": cohort.fingerprint,
            "patients": str(len(cohort)),
            "judged on": held_out,
            "intervals": f"95 %, {replicates} patient-level bootstrap replicates, seed {seed}",
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **{package: version(package) for package in ("fusiondx", "torch", "numpy", "scikit-learn")},
            "python": platform.python_version(),
        },
    )


def unreadable(cohort: Cohort) -> list[str]:
    """A note for each modality of which files could not be used."""
    return [
        f"{name}: {counted(modality.lost, 'file')} of the judged patients cannot be used and count as missing."
        for name, modality in cohort.modalities.items()
        if modality.lost
    ]


def gaps(lead: Contender, other: Contender, replicates: int, seed: int) -> list[tuple[Any, ...]]:
    """Paired differences, lead minus other, in the primary metric of every target both answered."""
    rows: list[tuple[Any, ...]] = []
    for target, theirs in other.parts.items():
        ours = paired(lead.parts.get(target, []), theirs)
        if ours is None:
            continue
        kind, metric = theirs[0][1].spec.kind, primary_metric(theirs[0][1])
        found = difference(ours, theirs, metric, replicates=replicates, seed=seed)
        if isinstance(found, Estimate):
            span = (found.value, found.low, found.high, found.n, found.p)
            rows.append((lead.named(kind), other.named(kind), target, metric, *span))
    return rows


def paired(ours: Sequence[Part], theirs: Sequence[Part]) -> list[Part] | None:
    """Our parts confined to the patients they judged; None where they left out a whole part."""
    if len(ours) != len(theirs):
        return None
    matched = []
    for (prediction, truth), (other, _) in zip(ours, theirs, strict=True):
        place = pd.Index(prediction.ids).get_indexer(pd.Index(other.ids))
        matched.append((prediction.take(place), truth[place]))
    return matched
