"""Comparing: the models of one or several experiments on the same patients and the same folds, side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusiondx import choices
from fusiondx.data.cohort import Cohort
from fusiondx.data.outcomes import flat
from fusiondx.errors import ConfigError, DataError, counted, listed
from fusiondx.experiment import folder, preflight, running, tables
from fusiondx.experiment.file import Experiment, at, read_experiment, written
from fusiondx.experiment.manifest import Clock, seeds
from fusiondx.experiment.standings import standings
from fusiondx.fusion import AnyFusion
from fusiondx.reporting.report import Report
from fusiondx.validation.audited import audited
from fusiondx.validation.contender import Contender
from fusiondx.validation.judging import Track, note_read
from fusiondx.validation.judging import run as fit_and_judge
from fusiondx.validation.reports import report as reported
from fusiondx.validation.rivals import named, rivals, title_of

Tell = Callable[[str], None]
Parts = list[tuple[Cohort, Cohort]]


@dataclass(frozen=True)
class Entrant:
    """One experiment of a comparison: its settings, its patients, and who trains and who judges."""

    name: str
    path: Path
    experiment: Experiment
    cohort: Cohort
    parts: Parts
    """Training and held-out patients, one pair per fold."""

    def contenders(self, several: bool) -> list[Contender]:
        """Its models, named after the file where there are `several`."""
        found = running.models_of(self.experiment)
        if not several:
            return [Contender(name, "model", model) for name, model in named(found).items()]
        models = found if isinstance(found, dict) else {"": found}
        return [Contender(": ".join(filter(None, (self.name, name))), "model", m) for name, m in models.items()]


def compare(
    paths: Sequence[Path],
    data: Path | None,
    out: Path,
    overrides: Sequence[str] = (),
    fusions: Sequence[str] | None = None,
    first_folds: bool = False,
    overwrite: bool = False,
    progress: Tell | None = None,
) -> Report:
    """Train and judge the models of the experiments at `paths` on the same folds, and leave a run folder at `out`.

    A single experiment is widened: beside its own models stand the same settings with every other fusion (or with
    those in `fusions`), each modality alone, and the clinical baseline. Several must hold out the same patients with
    the same answers, fold by fold; with `first_folds` all use the patients and folds of the first. Every model is
    compared with the first model, with each single modality and with the baseline, on the patients both judged.

    Raises `ConfigError`, `DataError` or `RunError` before anything is trained, where that can be known.
    """
    if twice := [path for path in dict.fromkeys(paths) if list(paths).count(path) > 1]:
        raise ConfigError(f"{listed(twice)} is given twice. Name each experiment once.")
    experiments = {path: read_experiment(path, overrides) for path in paths}
    with folder.staged(out, overwrite) as stage:
        clock = Clock()
        entrants = entered(experiments, data, first_folds)
        if fusions or (fusions is None and len(entrants) == 1):
            entrants[0] = widened(entrants[0], fusions)
        trackers = running.tracked(entrants[0].experiment, stage)
        for entrant in entrants:
            preflight.check(entrant.experiment, entrant.cohort)
        report = judged(entrants, progress, running.begun(trackers, entrants[0].experiment))
        leave(stage, entrants, report, clock, first_folds)
        for tracker in trackers:
            tracker.end(report.frame())
        return report


def entered(experiments: Mapping[Path, Experiment], data: Path | None, first_folds: bool) -> list[Entrant]:
    """The experiments with their patients, checked to be about the same ones."""
    names = dict(zip(experiments, folder.file_names(numbered([label(path) for path in experiments])), strict=True))
    entrants: list[Entrant] = []
    for path, experiment in experiments.items():
        cohort = preflight.read_patients(experiment, path, data)
        if entrants and first_folds:
            entrants.append(Entrant(names[path], path, experiment, *of_first(entrants[0], path, cohort)))
        else:
            titled = experiment.replace(title=experiment.title or cohort.title or path.stem)
            entrants.append(Entrant(names[path], path, titled, cohort, parted(cohort, experiment)))
        refuse_other(entrants[0], entrants[-1])
    return entrants


def label(path: Path) -> str:
    """What an experiment is called: its file's name; the folder's, where a run wrote the file."""
    return path.resolve().parent.name if path.name == folder.SETTINGS else path.stem


def numbered(names: Sequence[str]) -> list[str]:
    """The same names, told apart by a number where one comes again."""
    return [n if n not in names[:i] else f"{n} ({names[:i].count(n) + 1})" for i, n in enumerate(names)]


def parted(cohort: Cohort, experiment: Experiment) -> Parts:
    """Training and held-out patients, as the experiment parts them."""
    if experiment.split is not None:
        return [experiment.split.of(cohort)]
    return [(cohort[train], cohort[test]) for train, test in experiment.parts(cohort)]


def of_first(first: Entrant, path: Path, cohort: Cohort) -> tuple[Cohort, Parts]:
    """The patients of the first experiment, as another one reads them, parted as in the first."""
    try:
        parts = [(cohort.take_ids(train.ids), cohort.take_ids(test.ids)) for train, test in first.parts]
        return cohort.take_ids(first.cohort.ids), parts
    except DataError as error:
        raise DataError(f"{path.name} lacks patients of {first.path.name}. {error}") from error


def refuse_other(first: Entrant, other: Entrant) -> None:
    """Raise `DataError` or `ConfigError` unless both hold out the same patients with the same answers."""
    both = f"{first.path.name} and {other.path.name}"
    shared = [name for name in first.cohort.targets if name in other.cohort.targets]
    if not shared:
        raise ConfigError(f"{both} have no target in common: there is nothing to compare.")
    advice = "Give both the same cohort, 'require' and split or folds, or pass --first-folds."
    if len(first.parts) != len(other.parts):
        raise DataError(f"{both} have {len(first.parts)} and {counted(len(other.parts), 'held-out set')}. {advice}")
    for number, pair in enumerate(zip(first.parts, other.parts, strict=True), start=1):
        for side, (mine, theirs) in zip(("training", "held-out"), zip(*pair, strict=True), strict=True):
            odd = np.setxor1d(mine.ids.astype(str), theirs.ids.astype(str))
            if len(odd):
                where = f"{both} differ in {side} set {number}"
                raise DataError(f"{where}: {counted(len(odd), 'patient')} in one only: {listed(odd)}. {advice}")
    for name in shared:
        again = other.cohort.take_ids(first.cohort.ids)
        if repr(flat(first.cohort.targets[name]).tolist()) != repr(flat(again.targets[name]).tolist()):
            raise DataError(f"{both} have other values of '{name}' for the same patients. Read it in the same way.")


def widened(entrant: Entrant, fusions: Sequence[str] | None) -> Entrant:
    """The experiment with more models: the first one's settings with other fusions, each only once."""
    if len(entrant.cohort.modalities) < 2:
        if fusions is not None:
            raise ConfigError(f"--fusions: {entrant.path.name} has a single modality: there is nothing to fuse.")
        return entrant
    if entrant.experiment.sweep is not None:
        raise ConfigError(f"{entrant.path.name}: a sweep is not widened to other fusions. Compare it with other files.")
    first = next(iter(entrant.experiment.settings.values()))
    own = {name or title_of(first.build()): m for name, m in entrant.experiment.settings.items()}
    models = dict(own)
    for name in fusions if fusions is not None else choices.kinds(AnyFusion):
        bare = first.replace(encoders={}, heads={}) if name == "stacking" else first  # a stack chooses them itself
        other = at(bare, {"model.fusion": name}, "--fusions")
        # one with other settings may already be called so
        if other not in own.values():
            models[f"fusion ({name})" if f"fusion ({name})" not in own else f"fusion ({name}, defaults)"] = other
    return replace(entrant, experiment=entrant.experiment.replace(model=None, models=models, seeds=()))


def judged(entrants: Sequence[Entrant], progress: Tell | None, track: Track | None = None) -> Report:
    """Train and judge everybody, each once; one report about all."""
    first, several = entrants[0], len(entrants) > 1
    teams = [entrant.contenders(several) for entrant in entrants]
    models = [contender for team in teams for contender in team]
    settings, jobs = first.experiment.evaluation, first.experiment.jobs
    plain = next(iter(first.experiment.settings.values())).build()
    others = rivals(plain, first.cohort) if settings.baselines else []
    teams[0] = [*teams[0], *others]
    # of folds everybody is held out in turn: there is no test set whose reads could be counted
    notes = note_read(first.parts[0][1]) if first.experiment.split is not None else []
    for entrant, team in zip(entrants, teams, strict=True):
        notes += fit_and_judge(team, entrant.parts, progress, jobs=jobs, track=track)
    everyone = [*models, *others]
    versus = [models[0], *others]
    pairs = [(model, other) for model in models for other in versus if other is not model]
    title = first.experiment.title if not several else f"Comparison of {listed([e.name for e in entrants], show=9)}"
    held_out = f"{len(first.parts)} folds" if len(first.parts) > 1 else "held-out patients"
    made = reported(everyone, first.cohort, notes, settings.replicates, settings.seed, title, held_out, pairs=pairs)
    return audited(made, first.cohort, first.experiment.parts(first.cohort), {}, settings.leaks)


def leave(stage: Path, entrants: Sequence[Entrant], report: Report, clock: Clock, first_folds: bool) -> None:
    """Write all that a comparison leaves; no model is kept."""
    experiments: dict[str, Any] = {}
    for entrant in entrants:
        place = stage / folder.EXPERIMENTS / entrant.name
        place.mkdir(parents=True)
        shutil.copyfile(entrant.path.parent / entrant.experiment.cohort, place / folder.COHORT)
        resolved = running.keep_split(entrant.experiment, place).replace(cohort=folder.COHORT)
        (place / folder.SETTINGS).write_text(written(resolved), encoding="utf-8")
        about = {"cohort_fingerprint": entrant.cohort.fingerprint, "seeds": seeds(resolved)}
        experiments[entrant.name] = {"folder": str(place.relative_to(stage)), **about}
    first = entrants[0]
    parts = first.experiment.parts(first.cohort)
    parts.save(stage / folder.SPLIT)
    manifest = clock.manifest(first.experiment, first.cohort, {}, parts, first.path.parent)
    manifest |= {"experiments": experiments, "first_folds": first_folds}
    running.write(replace(report, manifest={**report.manifest, **running.summary(manifest)}), stage)
    tables.write_csv(standings(report), stage / folder.COMPARISON)
    (stage / folder.MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
