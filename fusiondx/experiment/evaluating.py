"""Evaluating: predictions that any tool wrote to a table, judged beside the truth and compared with each other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from fusiondx.core.predictions import CompetingPrediction
from fusiondx.core.targets import AnyTarget, Classes, CompetingRisks, Number, Survival, Unit
from fusiondx.data.outcomes import columns_of
from fusiondx.data.predicted import read_predictions, with_classes
from fusiondx.data.reading import FileSource, FrameSource, gaps, need_columns, number, read_ids, text
from fusiondx.errors import ConfigError, DataError, counted, listed
from fusiondx.evaluation.estimate import Estimate
from fusiondx.evaluation.score import difference, score
from fusiondx.experiment import folder
from fusiondx.experiment.verdicts import write_report
from fusiondx.reporting.failures import failure_frame
from fusiondx.reporting.multiplicity import adjusted
from fusiondx.reporting.report import DIFFERENCES, Part, Report, Result
from fusiondx.reporting.subgroups import subgroup_frame

FOLD = "fold"
"""A column of this name in a table of predictions says in which fold a patient was held out."""

MOST = 9
"""Highest number in a column of events that is taken for that of a cause."""


@dataclass(frozen=True)
class Asked:
    """What was predicted, and which columns of the tables say so.

    Where no column of the truth is named, those called "label", "time" with "event", and "number" are judged; of time
    and event, one that is left out is called so.
    """

    id: str = "patient_id"
    label: str | None = None
    time: str | None = None
    event: str | None = None
    number: str | None = None
    classes: tuple[str, ...] = ()
    """Order of the classes; the last of two is the positive one."""
    causes: tuple[str, ...] = ()
    """What the events 1, 2 and so on are, where several compete; left out, they are called by their numbers."""
    unit: Unit = "months"
    prediction: str | None = None
    """Column of a foreign table that holds the probability of the positive class, the risk or the number."""
    by: tuple[str, ...] = ()
    """Columns of the truth whose groups are judged each on their own."""
    cut: float | None = None
    """Risk above which a patient counts as high-risk, fixed on training patients."""
    failures: int = 0
    """How many of the worst predictions to list, with patient ids."""
    replicates: int = 1000
    seed: int = 0

    def targets(self, truth: FileSource) -> dict[str, AnyTarget]:
        """What the truth holds, by the name it gets in the report. Raises `ConfigError` where that is nothing."""
        found: dict[str, AnyTarget] = {}
        columns = truth.columns
        named = bool(self.label or self.time or self.event or self.number)
        guessed = () if named else columns
        if label := self.label or ("label" if "label" in guessed else ""):
            found[label] = Classes(label, self.classes or None)
        if self.time or self.event or {"time", "event"} <= set(guessed):
            found["survival"] = self.prognosis(truth)
        if value := self.number or ("number" if "number" in guessed else ""):
            found[value] = Number(value)
        if self.cut is not None and not (np.isfinite(self.cut) and "survival" in found):
            raise ConfigError(f"--cut {self.cut:g}: give a finite risk, of a prognosis.")
        if not found:
            raise ConfigError(
                "Say which columns hold the truth: --label, --time with --event, or --number. "
                f"{truth.name} has: {listed(columns, show=20)}."
            )
        return found

    def prognosis(self, truth: FileSource) -> Survival | CompetingRisks:
        """One event, or several that compete, by the numbers in the column of events."""
        time, event = self.time or "time", self.event or "event"
        need_columns(truth, [event])
        met = number(truth.frame([event])[event])
        last = int(met[np.isfinite(met)].max(initial=0.0))
        if not self.causes and not 2 <= last <= MOST:
            return Survival(time, event, self.unit)
        return CompetingRisks(time, event, self.causes or tuple(str(k + 1) for k in range(last)), self.unit)


def evaluate(
    predictions: Sequence[Path],
    truth: Path,
    out: Path,
    asked: Asked,
    baseline: Path | None = None,
    overwrite: bool = False,
) -> Report:
    """Judge tables of predictions beside the table `truth`; `out` gets metrics.csv, report.json and report.html.

    Each table is a model, called as its file; `baseline` is compared with first. Columns: see
    `fusiondx.data.predicted.read_predictions`. Raises `DataError` and `ConfigError` for what cannot be judged.
    """
    known = FileSource.open(truth.parent, truth.name)
    targets = {name: in_order(target, predictions) for name, target in asked.targets(known).items()}
    wanted = [asked.id, *(column for target in targets.values() for column in columns_of(target)), *asked.by]
    need_columns(known, wanted)
    answers, notes = known.frame(wanted), []
    results: list[Result] = []
    for file, role in models_of(predictions, baseline):
        said = foreign(FileSource.open(file.parent, file.name), asked, tuple(targets.values()))
        notes += unjudged(file, said, answers, asked.id)
        results += judged(file, role, said, answers, targets, asked)
    report = Report(
        title=f"Evaluation of {listed((file.stem for file in predictions), show=3)}",
        results=tuple(results),
        differences=adjusted(pd.DataFrame(list(gaps_between(results, asked)), columns=list(DIFFERENCES[:-1]))),
        notes=tuple(notes),
        manifest=manifest([truth, *predictions, *([baseline] if baseline else [])], asked),
    )
    report = finished(report, answers, asked)
    with folder.staged(out, overwrite) as stage:
        write(report, stage)
    return report


def in_order(target: AnyTarget, predictions: Sequence[Path]) -> AnyTarget:
    """The target with its classes in the order of the first table's columns, so that all tables say the same."""
    return with_classes(target, FileSource.open(predictions[0].parent, predictions[0].name).columns)


def models_of(predictions: Sequence[Path], baseline: Path | None) -> list[tuple[Path, Literal["model", "baseline"]]]:
    """Each table and what it stands for. Raises `ConfigError` where two would be called alike."""
    every: list[tuple[Path, Literal["model", "baseline"]]] = [(file, "model") for file in predictions]
    if baseline is not None:
        every.append((baseline, "baseline"))
    names = [file.stem for file, _ in every]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"Several tables are called {listed(sorted(twice))}. Rename them: names tell models apart.")
    return every


def foreign(source: FileSource, asked: Asked, targets: Sequence[AnyTarget]) -> pd.DataFrame:
    """A table of predictions, its columns called as ours."""
    need_columns(source, [asked.id, *([asked.prediction] if asked.prediction else [])])
    frame = source.frame(source.columns)
    if asked.prediction:
        if len(targets) > 1:
            raise ConfigError("--prediction names one column, but several things were predicted. Judge one at a time.")
        if targets[0].kind not in _OURS:
            raise ConfigError("--prediction names one column, but several causes compete. Name columns risk[CAUSE].")
        frame = frame.rename(columns={asked.prediction: _OURS[targets[0].kind]})
    curves = [column for column in frame.columns if column.startswith("survival[")]
    if curves and "risk" not in frame:
        alive = np.stack([pd.to_numeric(frame[column], errors="coerce") for column in curves])
        frame = frame.assign(risk=1 - alive.mean(axis=0))
    if FOLD in frame and (blank := gaps(text(frame[FOLD]))).any():
        raise DataError(
            f"{source.name}: {counted(int(blank.sum()), 'patient')} without a fold: "
            f"{listed(text(frame[asked.id])[blank])}. Fill the column '{FOLD}', or take it away."
        )
    return frame


_OURS = {"classes": "probability", "survival": "risk", "number": "value"}


def unjudged(file: Path, said: pd.DataFrame, answers: pd.DataFrame, id: str) -> list[str]:
    """A note on patients of the truth without a prediction."""
    lacking = set(text(answers[id])) - set(text(said[id])) - {""}
    if not lacking:
        return []
    return [f"{file.name}: {counted(len(lacking), 'patient')} of the truth not predicted, not judged."]


def judged(
    file: Path,
    role: Literal["model", "baseline"],
    said: pd.DataFrame,
    answers: pd.DataFrame,
    targets: Mapping[str, AnyTarget],
    asked: Asked,
) -> Iterator[Result]:
    """What a table achieved, target by target; fold by fold where it has such a column."""
    sets = [part for _, part in said.groupby(FOLD, sort=True)] if FOLD in said else [said]
    for target, spec in targets.items():
        try:
            parts = tuple(
                read_predictions(some.reset_index(drop=True), answers, spec, id=asked.id, unpredicted="leave out")
                for some in sets
            )
        except DataError as error:
            raise DataError(f"{file.name}: {error}") from error
        cuts = (asked.cut,) * len(parts) if spec.kind == "survival" else ()
        for called, mine in {target: parts, **by_cause(target, parts)}.items():
            estimates = score(mine, replicates=asked.replicates, seed=asked.seed)
            yield Result(file.stem, role, called, mine, estimates, cuts=cuts)


def by_cause(target: str, parts: Sequence[Part]) -> dict[str, tuple[Part, ...]]:
    """Of several causes, each on its own; of anything else, nothing."""
    said = parts[0][0]
    if not isinstance(said, CompetingPrediction):
        return {}
    pairs = [(said, truth) for said, truth in parts if isinstance(said, CompetingPrediction)]
    return {
        f"{target}: {cause}": tuple((said.of_cause(cause), truth.of_cause(cause)) for said, truth in pairs)
        for cause in said.causes
    }


def gaps_between(results: Sequence[Result], asked: Asked) -> Iterator[tuple[Any, ...]]:
    """Paired differences in the primary metric, on the patients both judged; those from a baseline come first."""
    pairs = [(a, b) for a, b in combinations(results, 2) if a.target == b.target]
    for ours, theirs in sorted(pairs, key=lambda pair: pair[1].role != "baseline"):
        shared = both(ours.parts, theirs.parts)
        if shared is None:
            continue
        metric = ours.estimates[0].metric
        found = difference(*shared, metric, replicates=asked.replicates, seed=asked.seed)
        if isinstance(found, Estimate):
            span = (found.value, found.low, found.high, found.n, found.p)
            yield (ours.model, theirs.model, ours.target, metric, *span)


def both(ours: Sequence[Part], theirs: Sequence[Part]) -> tuple[list[Part], list[Part]] | None:
    """Two models' parts confined to the patients of both, in the same order; None where there are none."""
    if len(ours) != len(theirs):
        return None
    mine, others = [], []
    for (said, truth), (other, _) in zip(ours, theirs, strict=True):
        shared = np.intersect1d(said.ids.astype(str), other.ids.astype(str))
        place = pd.Index(said.ids.astype(str)).get_indexer(pd.Index(shared))
        mine.append((said.take(place), truth[place]))
        others.append((other.take(pd.Index(other.ids.astype(str)).get_indexer(pd.Index(shared))), truth[place]))
    return (mine, others) if any(len(truth) for _, truth in mine) else None


def finished(report: Report, answers: pd.DataFrame, asked: Asked) -> Report:
    """The report with the subgroups and failures that were asked for."""
    ids = read_ids(FrameSource(answers, "the truth"), asked.id)
    if asked.by:
        written = {column: text(answers[column]) for column in asked.by}
        named = {c: pd.Series(v, index=ids, dtype=object).mask(gaps(v), None) for c, v in written.items()}
        groups = pd.DataFrame(named, index=ids)
        settings = {"replicates": asked.replicates, "seed": asked.seed}
        report = replace(report, subgroups=subgroup_frame(report, groups, **settings))
    return replace(report, failures=failure_frame(report, asked.failures)) if asked.failures else report


def manifest(files: Sequence[Path], asked: Asked) -> dict[str, str]:
    """What the numbers rest on."""
    return {
        **{file.name: f"SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files},
        "bootstrap": f"{asked.replicates} replicates, seed {asked.seed}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **{package: version(package) for package in ("fusiondx", "numpy", "scipy", "pandas")},
    }


def write(report: Report, stage: Path) -> None:
    """Write the report in a folder that `fusiondx report` can draw again."""
    write_report(report, stage)
    kept = {"format": folder.FORMAT, "title": report.title, "models": {}, **report.manifest}
    (stage / folder.MANIFEST).write_text(json.dumps(kept, indent=1), encoding="utf-8")
