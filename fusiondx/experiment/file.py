"""experiment.yaml: which patients, which models, and how they are judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, TypeAdapter, model_validator
from pydantic_core import CoreSchema

from fusiondx import choices
from fusiondx.auditing.settings import Audit
from fusiondx.core.settings import parse
from fusiondx.core.spec import Name, Seed, Spec, spec
from fusiondx.data import folds as drawn
from fusiondx.data.cohort import Cohort
from fusiondx.data.cohort_file import CohortFile
from fusiondx.data.splits import Fold
from fusiondx.encoders import AnyEncoder, Backbone
from fusiondx.errors import ConfigError
from fusiondx.experiment.layers import layered
from fusiondx.experiment.overrides import overridden, put
from fusiondx.experiment.sweep import Sweep
from fusiondx.experiment.tracking import AnyTracker
from fusiondx.fusion import AnyFusion, Gated
from fusiondx.heads import AnyHead
from fusiondx.model import FusionModel
from fusiondx.stacking.stack import Stack
from fusiondx.training import Training


class Omissible:
    """Marks a setting that may be left out; the schema then shows it as what it is when given."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return next(dict(member) for member in handler(core)["anyOf"] if member.get("type") != "null")


def named(value: Any) -> Any:
    """A component given by its name alone has default settings."""
    return {"kind": value} if isinstance(value, str) else value


def named_encoder(value: Any) -> Any:
    """As `named`; a name that is none of ours may be a timm model's."""
    if isinstance(value, str) and value not in choices.kinds(AnyEncoder) and choices.known_to_timm(value):
        return Backbone(name=value)
    return named(value)


EncoderChoice = Annotated[AnyEncoder, BeforeValidator(named_encoder)]


@spec
class Stacking(Spec):
    """In the place of a fusion: networks and classical models, each weighed by what it adds; see `Stack`."""

    effort: Literal["fast", "thorough"] = "fast"
    kind: Literal["stacking"] = "stacking"


FusionChoice = Annotated[Annotated[AnyFusion | Stacking, Field(discriminator="kind")], BeforeValidator(named)]
HeadChoice = Annotated[AnyHead, BeforeValidator(named)]
Values = tuple[str | Annotated[int, Field(strict=True)], ...]


@spec
class Split(Spec):
    """One training and one test part, as `Cohort.split` makes them.

    At random: the share `test`, alike in the target `stratify`; whole groups: sites where there are any ("auto"),
    "site", a column, or none (null). As written in `column`: the values in `train` and in `test`. In time: who came
    before `at` less `gap`, and at `at` or later, by the column `time`. As in a split `file`, relative to this one.
    """

    test: float | Values = 0.2
    train: Annotated[Values | None, Omissible()] = None
    column: Annotated[str | None, Omissible()] = None
    group: str | None = "auto"
    stratify: Annotated[str | None, Omissible()] = None
    seed: Seed = 0
    time: Annotated[str | None, Omissible()] = None
    at: Annotated[float | str | None, Omissible()] = None
    gap: float = Field(default=0, ge=0)
    file: Annotated[str | None, Omissible()] = None

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        share = not isinstance(self.test, tuple)
        if share and (self.column is not None or self.train is not None):
            raise ValueError("a split by column needs column, train: [values] and test: [values]")
        if not share and (self.column is None or self.train is None or not only(self, "column", "train", "test")):
            raise ValueError("a split by values needs column, train and test, and nothing else")
        if (self.time is None) != (self.at is None) or (self.time and not only(self, "time", "at", "gap")):
            raise ValueError("a split in time needs time and at, perhaps gap, and nothing else")
        if self.file and not only(self, "file"):
            raise ValueError("a split in a file leaves nothing to draw: give file alone")
        return self

    def of(self, cohort: Cohort) -> tuple[Cohort, Cohort]:
        """Training and test patients."""
        if isinstance(self.test, tuple):
            train, test = [str(value) for value in self.train or ()], [str(value) for value in self.test]
            return cohort.split(test, train=train, column=self.column)
        if self.time is not None and self.at is not None:
            return cohort.split_by_time(self.time, self.at, gap=self.gap)
        return cohort.split(self.test, group=self.group, stratify=self.stratify, seed=self.seed, file=self.file)


@spec
class Folds(Spec):
    """Cross-validation, as `Cohort.folds` makes it: drawn at random `repeats` times, whole groups as in a `split`; as
    written in `column`; or as in a split `file`, relative to this one."""

    k: int = Field(default=5, ge=2)
    repeats: int = Field(default=1, ge=1)
    column: Annotated[str | None, Omissible()] = None
    group: str | None = "auto"
    stratify: Annotated[str | None, Omissible()] = None
    seed: Seed = 0
    file: Annotated[str | None, Omissible()] = None

    @model_validator(mode="after")
    def _one_way(self) -> Folds:
        if self.column is not None and not only(self, "column"):
            raise ValueError("folds written in a column leave nothing to draw: give column alone")
        if self.file is not None and not only(self, "file"):
            raise ValueError("folds written in a file leave nothing to draw: give file alone")
        return self

    def of(self, cohort: Cohort) -> Sequence[Fold]:
        """Positions to train on and to test on, per fold."""
        if self.column is not None:
            return cohort.folds(column=self.column)
        if self.file is not None:
            return cohort.folds(file=self.file)
        return cohort.folds(self.k, self.repeats, group=self.group, stratify=self.stratify, seed=self.seed)


def only(settings: Split | Folds, *names: str) -> bool:
    """Whether all settings but these have their defaults."""
    others = [f for f in fields(settings) if f.name not in names]
    return all(getattr(settings, f.name) == default_of(f) for f in others)


def default_of(setting: Any) -> Any:
    """The default of a dataclass field, which pydantic may wrap."""
    return getattr(setting.default, "default", setting.default)


@spec
class Model(Spec):
    """The settings of a `FusionModel`. Every component is a name, or a mapping with `kind` and its settings."""

    encoders: Mapping[str, EncoderChoice] = Field(default_factory=dict)
    fusion: FusionChoice = Gated()
    heads: Mapping[str, HeadChoice] = Field(default_factory=dict)
    dim: int = Field(default=64, ge=1)
    training: Training = Training()
    seed: Seed = 0

    @model_validator(mode="after")
    def _stack_chooses(self) -> Model:
        if isinstance(self.fusion, Stacking) and (self.encoders or self.heads):
            raise ValueError("a stack chooses encoders and heads itself: leave out 'encoders' and 'heads'")
        return self

    def build(self) -> FusionModel | Stack:
        """The model, not fitted."""
        if isinstance(self.fusion, Stacking):
            return Stack(self.fusion.effort, training=self.training, seed=self.seed)
        return FusionModel(
            dict(self.encoders) or None, self.fusion, dict(self.heads) or None, self.dim, self.training, self.seed
        )


@spec
class Evaluation(Spec):
    """How results are judged: beside baselines or not, and with how many bootstrap replicates.

    With `audit`, cohort and split are checked for leaks; `waivers` say by code why a finding is accepted, `index` and
    `dated` which columns hold the index time and the dates of inputs (see `fusiondx.auditing.audit`). With
    `modality_audit`, each modality is permuted that many times and dropped, to see which the models use; 0 leaves it
    out.
    """

    baselines: bool = True
    replicates: int = Field(default=1000, ge=1)
    seed: Seed = 0
    audit: bool = True
    waivers: Mapping[str, str] = Field(default_factory=dict)
    index: Annotated[str | None, Omissible()] = None
    dated: Mapping[str, str] = Field(default_factory=dict)
    modality_audit: int = Field(default=0, ge=0)

    @property
    def leaks(self) -> Audit | None:
        """How to look for leaks; None where nobody is to."""
        return Audit(waivers=self.waivers, index=self.index, dated=self.dated) if self.audit else None


@spec
class Experiment(Spec):
    """All of an experiment.yaml. `cohort` is a path relative to it.

    `require` keeps only patients who have these modalities or known targets; `modalities` and `targets` are the ones
    to use, all where left out. Patients are parted by `split` or by `folds`; the model is `model`, or several by name
    under `models`, each once per seed in `seeds` where there are such; `jobs` of their fits run at a time. A `sweep`
    tunes `model`. `tracking` tells others of every fit. `extends` names another such file to build on; see
    `fusiondx.experiment.layers`.
    """

    cohort: str = Field(min_length=1)
    extends: Annotated[str | None, Omissible()] = None
    title: str = ""
    require: tuple[str, ...] = ()
    modalities: Annotated[tuple[str, ...] | None, Omissible()] = None
    targets: Annotated[tuple[str, ...] | None, Omissible()] = None
    split: Annotated[Split | None, Omissible()] = None
    folds: Annotated[Folds | None, Omissible()] = None
    model: Annotated[Model | None, Omissible()] = None
    models: Mapping[Name, Model] = Field(default_factory=dict)
    sweep: Annotated[Sweep | None, Omissible()] = None
    seeds: tuple[Seed, ...] = ()
    evaluation: Evaluation = Evaluation()
    jobs: int = Field(default=1, ge=1)
    tracking: tuple[AnyTracker, ...] = ()

    @model_validator(mode="after")
    def _one_of_each(self) -> Experiment:
        if (self.split is None) == (self.folds is None):
            raise ValueError("give exactly one of 'split' and 'folds'")
        if self.model is not None and self.models:
            raise ValueError("give 'model' or 'models', not both; of several, set models.NAME.…")
        if self.sweep is not None and (self.models or self.seeds):
            raise ValueError("a sweep tunes 'model': leave 'models' and 'seeds' out")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("'seeds' names one twice: the same seed gives the same numbers")
        for selection in (self.modalities, self.targets):
            if selection == ():
                raise ValueError("'modalities' and 'targets' name at least one each; leave them out to use all")
        return self

    @property
    def settings(self) -> Mapping[str, Model]:
        """The models' settings by name; a single one has none."""
        models = self.models or {"": self.model or Model()}
        if not self.seeds:
            return models
        each = [(name, model, seed) for name, model in models.items() for seed in self.seeds]
        return {f"{name}, seed {seed}".removeprefix(", "): model.replace(seed=seed) for name, model, seed in each}

    @property
    def group(self) -> str | None:
        """What groups stay together when patients are parted."""
        parting = self.split or self.folds
        return None if parting is None else parting.group

    def build(self) -> FusionModel | Stack | dict[str, FusionModel | Stack]:
        """The model, or the models by name; not fitted."""
        if list(self.settings) == [""]:
            return self.settings[""].build()
        return {name: model.build() for name, model in self.settings.items()}

    def parts(self, cohort: Cohort) -> drawn.Folds:
        """Who trains and who is held out, fold by fold; a split is one fold."""
        if self.split is None:
            found = (self.folds or Folds()).of(cohort)
            return found if isinstance(found, drawn.Folds) else drawn.Folds(cohort.ids, tuple(found), {})
        sides = [pd.Index(cohort.ids).get_indexer(pd.Index(side.ids)) for side in self.split.of(cohort)]
        return drawn.Folds(cohort.ids, ((sides[0], sides[1]),), plain(Split, self.split))

    def patients(self, cohort: Cohort) -> Cohort:
        """The part of a cohort that the experiment is about."""
        return cohort.having(self.require).select(self.modalities, self.targets)


def at(model: Model, point: Mapping[str, Any], where: str = "sweep.over") -> Model:
    """The model with the settings of a sweep's point. Raises `ConfigError` where they make no sense."""
    whole = {"cohort": "cohort.yaml", "folds": {}, "model": plain(Model, model)}
    for path, value in sorted(point.items(), key=lambda item: not item[0].endswith(".kind")):
        put(whole, path.split("."), value, f"{where}.{path}")
    tried: Experiment = parse(Experiment, whole, where)
    return tried.model or model


def read_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment.yaml, then change settings by `overrides` such as ``model.training.epochs=3``.

    Raises `ConfigError` with the place and the nearest valid name; a mistake in an override is told from one in the
    file.
    """
    written = layered(path)
    if "patients" in written and not is_experiment(written):
        raise ConfigError(f"{path.name} describes a cohort. Give the experiment.yaml that names it under 'cohort'.")
    experiment: Experiment = parse(Experiment, written, path.name)
    if overrides:
        experiment = parse(Experiment, overridden(written, overrides), "--set")
    return located(experiment, path.parent)


def located(experiment: Experiment, folder: Path) -> Experiment:
    """With its split file, if there is one, found from here."""
    if experiment.split is not None and experiment.split.file is not None:
        return experiment.replace(split=experiment.split.replace(file=str(folder / experiment.split.file)))
    if experiment.folds is not None and experiment.folds.file is not None:
        return experiment.replace(folds=experiment.folds.replace(file=str(folder / experiment.folds.file)))
    return experiment


def is_experiment(settings: Mapping[str, Any]) -> bool:
    """Whether a file's settings look more like an experiment's than like a cohort's."""
    mine, other = ({field.name for field in fields(file)} for file in (Experiment, CohortFile))
    return len(mine & settings.keys()) > len(other & settings.keys())


def written(experiment: Experiment) -> str:
    """The experiment as YAML with every default spelt out."""
    return as_yaml(plain(Experiment, experiment))


def plain(kind: Any, settings: Any) -> dict[str, Any]:
    """Settings as plain values, as YAML writes them; what is not set is left out."""
    values: dict[str, Any] = TypeAdapter(kind).dump_python(settings, mode="json")
    return {key: value for key, value in values.items() if value is not None}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its dotted path; lists are whole."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def as_yaml(settings: dict[str, Any]) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
