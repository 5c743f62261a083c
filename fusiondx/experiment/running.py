"""Running: from an experiment.yaml to a finished run folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fusiondx.data.cohort import Cohort
from fusiondx.errors import listed
from fusiondx.experiment import folder, preflight, tables
from fusiondx.experiment.file import Experiment, flat, plain, read_experiment, written
from fusiondx.experiment.manifest import Clock
from fusiondx.experiment.tracking import Fit, JsonLines, Tracker, epochs_of
from fusiondx.experiment.tuning import Tuned
from fusiondx.experiment.verdicts import write_report
from fusiondx.parallel import each
from fusiondx.reporting.report import Report
from fusiondx.validation import cross_validate, named, train_test
from fusiondx.validation.contender import Contender
from fusiondx.validation.judging import Track

Tell = Callable[[str], None]


def run(
    path: Path,
    data: Path | None,
    out: Path,
    overrides: Sequence[str] = (),
    overwrite: bool = False,
    progress: Tell | None = None,
) -> Report:
    """Run the experiment at `path` on the files in `data` (left out: beside its cohort.yaml) into the folder `out`.

    The folder appears when all is finished, or not at all. `progress` hears one line per model. Raises `ConfigError`,
    `DataError` or `RunError` before anything is trained, where that can be known.
    """
    experiment = read_experiment(path, overrides)
    with folder.staged(out, overwrite) as stage:
        return fill(stage, experiment, path, data, progress)


def fill(stage: Path, experiment: Experiment, path: Path, data: Path | None, progress: Tell | None) -> Report:
    """Do the experiment and write all it leaves into the folder `stage`."""
    clock = Clock()
    cohort = preflight.read_patients(experiment, path, data)
    experiment = experiment.replace(title=experiment.title or cohort.title or path.stem)
    trackers = tracked(experiment, stage)
    preflight.check(experiment, cohort)
    parts = experiment.parts(cohort)
    shutil.copyfile(path.parent / experiment.cohort, stage / folder.COHORT)
    settings = written(keep_split(experiment, stage).replace(cohort=folder.COHORT))
    (stage / folder.SETTINGS).write_text(settings, encoding="utf-8")
    if not (stage / folder.SPLIT).exists():
        parts.save(stage / folder.SPLIT)
    report, models = judged(experiment, cohort, progress, begun(trackers, experiment))
    places = save(models, stage / folder.MODEL, several=len(models) > 1)
    manifest = clock.manifest(experiment, cohort, places, parts, path.parent)
    for tracker in trackers:
        tracker.end(report.frame())
    report = replace(report, manifest={**report.manifest, **summary(manifest)})
    write(report, stage)
    # last: a folder with a manifest is a finished run
    (stage / folder.MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return report


def keep_split(experiment: Experiment, stage: Path) -> Experiment:
    """The experiment with a copy, in the folder `stage`, of the split file it names, if it names one."""
    parted = experiment.split or experiment.folds
    if parted is None or parted.file is None:
        return experiment
    shutil.copyfile(parted.file, stage / folder.SPLIT)
    return experiment.replace(**{parted_by(experiment): parted.replace(file=folder.SPLIT)})


def parted_by(experiment: Experiment) -> str:
    """Which of the two settings parts the patients."""
    return "folds" if experiment.split is None else "split"


def tracked(experiment: Experiment, stage: Path) -> list[Tracker]:
    """Everybody who is to be told of the fits."""
    return [JsonLines(stage / folder.EVENTS), *(settings.build() for settings in experiment.tracking)]


def begun(trackers: Sequence[Tracker], experiment: Experiment) -> Track:
    """Tell the trackers that it begins; returns a way to tell them of a fit."""
    settings = dict(flat(plain(Experiment, experiment)))
    for tracker in trackers:
        tracker.begin(experiment.title, settings)

    def tell(achieved: Contender, fold: int) -> None:
        epochs = tuple(epochs_of(achieved.histories))
        for tracker in trackers:
            tracker.fit(Fit(achieved.name, fold, achieved.seconds, achieved.parameters, epochs))

    return tell


def judged(
    experiment: Experiment, cohort: Cohort, progress: Tell | None = None, track: Track | None = None
) -> tuple[Report, Mapping[str, Any]]:
    """The verdict on held-out patients, and the models to keep.

    Of a split, those that were judged; of folds, the same settings fitted on all patients.
    """
    judge: dict[str, Any] = {
        "baselines": experiment.evaluation.baselines,
        "replicates": experiment.evaluation.replicates,
        "seed": experiment.evaluation.seed,
        "title": experiment.title,
        "progress": progress,
        "jobs": experiment.jobs,
        "track": track,
        "audit": experiment.evaluation.leaks,
        "permutations": experiment.evaluation.modality_audit,
    }
    if experiment.split is not None:
        return train_test(models_of(experiment), *experiment.split.of(cohort), **judge)
    assert experiment.folds is not None  # a split or folds: the settings see to it
    report = cross_validate(models_of(experiment), cohort, experiment.folds.of(cohort), **judge)
    models = named(models_of(experiment))
    fits = each(fitted, [(model, cohort) for model in models.values()], experiment.jobs)
    for name, model in zip(models, fits, strict=True):
        models[name] = model
        if progress:
            progress(f"{name}: fitted on all {len(cohort)} patients, to be kept")
    return report, models


def models_of(experiment: Experiment) -> Any:
    """What is judged: the model or the models; of a sweep, the model as tuned and as written."""
    if experiment.sweep is None:
        return experiment.build()
    model = experiment.settings[""]
    return {
        "tuned": Tuned(model, experiment.sweep, experiment.group, experiment.jobs),
        "as written": model.build(),
    }


def fitted(model: Any, cohort: Cohort) -> Any:
    """The model, trained."""
    return model.fit(cohort)


def save(models: Mapping[str, Any], place: Path, several: bool) -> dict[str, str]:
    """Save the models: a single one in `place` itself, several in subfolders. Returns folders by model name."""
    places = {name: f"{place.name}/{file}" for name, file in folder.file_names(models).items()}
    if not several:
        places = {name: place.name for name in models}
    for name, model in models.items():
        model.save(place.parent / places[name])
    return places


def write(report: Report, stage: Path) -> None:
    """Write the report, as tables, as JSON and as a page."""
    (stage / folder.PREDICTIONS).mkdir()
    # names may hold spaces: "a" and "b c" are others than "a b" and "c"
    found = {f"{result.model}\0{result.target}": result for result in report.results}
    for name, file in folder.file_names(found).items():
        tables.write_csv(tables.predictions(found[name].parts), stage / folder.PREDICTIONS / f"{file}.csv")
    tables.write_csv(tables.by_model(report.history), stage / folder.HISTORY)
    if report.trials:
        tables.write_csv(tables.by_model(report.trials), stage / folder.TRIALS)
    write_report(report, stage)


def summary(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What of the manifest a reader of the report wants to see."""
    return {
        "cohort fingerprint": manifest["cohort_fingerprint"],
        "patients": str(manifest["patients"]),
        "seeds": listed((f"{name} {seed}" for name, seed in manifest["seeds"].items()), show=20),
        "wall time": f"{manifest['wall_seconds']} s",
        "peak memory": f"{manifest['peak_memory_mb']} MB",
    }
