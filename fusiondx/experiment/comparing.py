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
from fusiondx.experiment.file import Experiment, Model, read_experiment, written
from fusiondx.experiment.manifest import Clock, seeds
from fusiondx.experiment.standings import standings
from fusiondx.fusion import AnyFusion
from fusiondx.reporting.report import Report
from fusiondx.validation.contender import Contender
from fusiondx.validation.judging import run as fit_and_judge
from fusiondx.validation.reports import report as reported
from fusiondx.validation.rivals import rivals, title_of

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
        models = {name: model.build() for name, model in self.experiment.settings.items()}
        if not several:
            return [Contender(name or title_of(model), "model", model) for name, model in models.items()]
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
    experiments = {path: read_experiment(path, overrides) for path in dict.fromkeys(paths)}
    with folder.staged(out, overwrite) as stage:
        clock = Clock()
        entrants = entered(experiments, data, first_folds)
        if len(entrants) == 1 or fusions is not None:
            entrants[0] = widened(entrants[0], fusions)
        for entrant in entrants:
            preflight.check(entrant.experiment, entrant.cohort)
        report = judged(entrants, progress)
        leave(stage, entrants, report, clock)
        return report


def entered(experiments: Mapping[Path, Experiment], data: Path | None, first_folds: bool) -> list[Entrant]:
    """The experiments with their patients, checked to be about the same ones."""
    names = dict(zip(experiments, folder.file_names(numbered([path.stem for path in experiments])), strict=True))
    entrants: list[Entrant] = []
    for path, experiment in experiments.items():
        cohort = preflight.read_patients(experiment, path, data)
        if entrants and first_folds:
            entrants.append(Entrant(names[path], path, experiment, *of_first(entrants[0], path, cohort)))
        else:
            titled = experiment.replace(title=experiment.title or cohort.title or path.stem)
            entrants.append(Entrant(names[path], path, titled, cohort, parted(experiment, cohort)))
        refuse_other(entrants[0], entrants[-1])
    return entrants


def numbered(names: Sequence[str]) -> list[str]:
    """The same names, told apart by a number where one comes again."""
    return [n if n not in names[:i] else f"{n} ({names[:i].count(n) + 1})" for i, n in enumerate(names)]


def parted(experiment: Experiment, cohort: Cohort) -> Parts:
    """Training and held-out patients as the experiment says."""
    if experiment.split is not None:
        return [experiment.split.of(cohort)]
    assert experiment.folds is not None  # a split or folds: the settings see to it
    return [(cohort[train], cohort[test]) for train, test in experiment.folds.of(cohort)]


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
    first = next(iter(entrant.experiment.settings.values()))
    own = {name or title_of(first.build()): m for name, m in entrant.experiment.settings.items()}
    models = dict(own)
    for name in fusions if fusions is not None else choices.kinds(AnyFusion):
        other: Model = first.replace(fusion=choices.fusion(name, "--fusions"))
        # one with other settings may already be called so
        if other not in own.values():
            models[f"fusion ({name})" if f"fusion ({name})" not in own else f"fusion ({name}, defaults)"] = other
    return replace(entrant, experiment=entrant.experiment.replace(model=None, models=models))


def judged(entrants: Sequence[Entrant], progress: Tell | None) -> Report:
    """Train and judge everybody, each once; one report about all."""
    first, several = entrants[0], len(entrants) > 1
    teams = [entrant.contenders(several) for entrant in entrants]
    models = [contender for team in teams for contender in team]
    settings = first.experiment.evaluation
    others = rivals(models[0].estimator, first.cohort) if settings.baselines else []
    teams[0] = [*teams[0], *others]
    notes = []
    for entrant, team in zip(entrants, teams, strict=True):
        notes += fit_and_judge(team, entrant.parts, progress)
    everyone = [*models, *others]
    versus = [models[0], *others]
    pairs = [(model, other) for model in models for other in versus if other is not model]
    title = first.experiment.title if not several else f"Comparison of {listed([e.name for e in entrants], show=9)}"
    held_out = f"{len(first.parts)} folds" if len(first.parts) > 1 else "held-out patients"
    return reported(everyone, first.cohort, notes, settings.replicates, settings.seed, title, held_out, pairs=pairs)


def leave(stage: Path, entrants: Sequence[Entrant], report: Report, clock: Clock) -> None:
    """Write all that a comparison leaves; no model is kept."""
    experiments: dict[str, Any] = {}
    for entrant in entrants:
        place = stage / folder.EXPERIMENTS / entrant.name
        place.mkdir(parents=True)
        shutil.copyfile(entrant.path.parent / entrant.experiment.cohort, place / folder.COHORT)
        resolved = entrant.experiment.replace(cohort=folder.COHORT)
        (place / folder.SETTINGS).write_text(written(resolved), encoding="utf-8")
        about = {"cohort_fingerprint": entrant.cohort.fingerprint, "seeds": seeds(resolved)}
        experiments[entrant.name] = {"folder": str(place.relative_to(stage)), **about}
    manifest = clock.manifest(entrants[0].experiment, entrants[0].cohort, models={}) | {"experiments": experiments}
    running.write(replace(report, manifest={**report.manifest, **running.summary(manifest)}), stage)
    tables.write_csv(standings(report), stage / folder.COMPARISON)
    (stage / folder.MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
