"""Does experiment.yaml mean what it says, and does a mistake in it lead to the place and the word?"""

import json

import pytest
import yaml

from fusiondx.core.settings import parse
from fusiondx.encoders import MLP, SNN, Backbone
from fusiondx.errors import ConfigError
from fusiondx.experiment.file import Experiment, Folds, Split, is_experiment, read_experiment, written
from fusiondx.experiment.manifest import seeds
from fusiondx.experiment.overrides import overridden
from fusiondx.experiment.schema import schema_of
from fusiondx.fusion import Concat, Gated, Mean
from fusiondx.training import Training

GOOD = """\
cohort: cohort.yaml
title: both
require: [mri]
split: {test: 0.25, group: site, seed: 3}
model:
  encoders: {omics: {kind: snn, components: null}, mri: convnet}
  fusion: gated
  training: {epochs: 5}
  seed: 7
"""


@pytest.fixture
def read(tmp_path):
    def read(content, *overrides):
        path = tmp_path / "experiment.yaml"
        path.write_text(content)
        return read_experiment(path, overrides)

    return read


def test_yaml_and_python_mean_the_same(read):
    experiment = read(GOOD)
    model = experiment.build()
    assert experiment.split == Split(test=0.25, group="site", seed=3)
    assert model.encoders["omics"] == SNN(components=None)
    assert (model.fusion, model.training, model.seed) == (Gated(), Training(epochs=5), 7)


def test_several_models_keep_their_names(read):
    models = read("cohort: c\nfolds: {k: 3}\nmodels: {a: {fusion: concat}, b: {dim: 8}}").build()
    assert (models["a"].fusion, models["b"].dim) == (Concat(), 8)


def test_a_timm_model_may_be_named(read):
    assert read(GOOD, "model.encoders.mri=resnet18").model.encoders["mri"] == Backbone(name="resnet18")


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        "cohort: c\nfolds: {column: fold}\nmodels: {a: {}, b: {fusion: {kind: concat, dropout: 0}}}",
        "cohort: c\nsplit: {column: s, train: [1, b], test: [c]}\ntargets: [t]\nmodalities: [m]",
    ],
)
def test_what_is_written_reads_back_the_same(read, content):
    experiment = read(content)
    assert parse(Experiment, yaml.safe_load(written(experiment)), "again") == experiment


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("split:", "spilt:", "experiment.yaml: spilt: unknown key. Did you mean 'split'?"),
        ("test: 0.25", "tset: 0.25", "experiment.yaml: split.tset: unknown key. Did you mean 'test'?"),
        ("fusion: gated", "fusion: gatd", "experiment.yaml: model.fusion: unknown kind 'gatd'. Did you mean 'gated'?"),
        ("components", "componets", "model.encoders.omics.componets: unknown key. Did you mean 'components'?"),
        (
            "epochs: 5",
            "epochs: many",
            "experiment.yaml: model.training.epochs: 'many' does not fit. Give a whole",
        ),
        ("epochs: 5", "epochs: 0", "experiment.yaml: model.training.epochs: 0 does not fit. Give 1 or more."),
        ("fusion: gated", "fusion: 3", "model.fusion: 3 does not fit. Give settings: {kind: attention}."),
        ("test: 0.25", "test: much", "split.test: 'much' does not fit. Give a number, or a list."),
        ("require: [mri]", "require: mri", "require: 'mri' does not fit. Give a list: [mri]."),
        ("mri: convnet", "mri: convnot", "model.encoders.mri: unknown kind 'convnot'. Did you mean 'convnet'?"),
        ("cohort: cohort.yaml\n", "", "experiment.yaml: cohort: missing."),
        ("test: 0.25", "test: [a]", "experiment.yaml: split: a split by values needs column, train and test"),
        ("test: 0.25", "column: a", "experiment.yaml: split: a split by column needs column, train"),
        ("test: 0.25, group: site, seed: 3", "column: a, train: [b], test: [yes]", "split.test"),
        ("split:", "folds: {k: 5}\nsplit:", "give exactly one of 'split' and 'folds'"),
        ("split: {test: 0.25, group: site, seed: 3}", "", "give exactly one of 'split' and 'folds'"),
        ("split: {test: 0.25, group: site, seed: 3}", "folds: {k: 3, column: x}", "leave nothing to draw"),
        ("split: {test: 0.25, group: site, seed: 3}", "folds: {k: 1}", "folds.k: 1 does not fit. Give 2 or more."),
        ("model:", "models: {a: {}}\nmodel:", "give 'model' or 'models', not both"),
        ("require: [mri]", "targets: []", "name at least one each"),
    ],
)
def test_a_mistake_is_named_with_its_place(read, right, wrong, message):
    assert right in GOOD
    with pytest.raises(ConfigError) as caught:
        read(GOOD.replace(right, wrong, 1))
    assert message in str(caught.value)


def test_every_mistake_is_named_at_once(read):
    with pytest.raises(ConfigError) as caught:
        read(GOOD.replace("epochs", "epoch").replace("gated", "gatd").replace("title", "titel"))
    assert all(place in str(caught.value) for place in ("model.training.epoch:", "model.fusion:", "titel:"))


def test_overrides_change_values_and_whole_nodes(read):
    experiment = read(
        GOOD,
        "split=null",
        "folds={k: 2}",
        "model.fusion.dropout=0.5",
        "model.training.learning_rate=1e-4",
        "evaluation.baselines=false",
        "require=[]",
    )
    assert (experiment.split, experiment.folds, experiment.require) == (None, Folds(k=2), ())
    assert experiment.model.fusion == Gated(dropout=0.5)
    assert experiment.model.training == Training(epochs=5, learning_rate=1e-4)
    assert not experiment.evaluation.baselines
    assert read(GOOD, "model.fusion.kind=concat").model.fusion == Concat()


def test_another_kind_comes_without_the_settings_of_the_old_one(read):
    written = GOOD.replace("fusion: gated", "fusion: {kind: gated, dropout: 0.35}")
    assert read(written, "model.fusion.kind=mean").model.fusion == Mean()
    assert read(written, "model.fusion.kind=gated").model.fusion == Gated(dropout=0.35)
    assert read(written, "model.fusion.dropout=0.5", "model.fusion.kind=concat").model.fusion == Concat(dropout=0.5)
    assert read(GOOD, "model.encoders.omics.kind=mlp").model.encoders["omics"] == MLP()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.trainin.epochs=3", "--set: model.trainin: unknown key. Did you mean 'training'?"),
        ("model.training.epoch=3", "--set: model.training.epoch: unknown key. Did you mean 'epochs'?"),
        ("model.training.epochs=x", "--set: model.training.epochs: 'x' does not fit. Give a whole number."),
        ("model.training.epochs", "write it as key=value"),
        ("model..epochs=3", "write it as key=value"),
        ("require.0=mri", "'require' is a list"),
        ("title.x=1", '"x": 1} does not fit. Give text.'),
        ("folds={k: 2", "no valid YAML"),
        ("title=!!python/object/apply:os.getcwd []", "no valid YAML"),
    ],
)
def test_a_mistake_in_an_override_is_told_from_one_in_the_file(read, override, message):
    with pytest.raises(ConfigError) as caught:
        read(GOOD, override)
    assert message in str(caught.value)
    assert "experiment.yaml" not in str(caught.value)


def test_overriding_leaves_the_original_alone():
    settings = {"model": {"fusion": {"kind": "gated"}}}
    assert overridden(settings, ["model.fusion.kind=mean"]) == {"model": {"fusion": {"kind": "mean"}}}
    assert settings == {"model": {"fusion": {"kind": "gated"}}}


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("cohort", "split"), True),
        (("cohrt", "folds"), True),
        (("patients", "modalities", "targets"), False),
        (("patiens", "modalities", "targets"), False),
    ],
)
def test_experiments_are_told_from_cohorts_even_misspelt(keys, answer):
    assert is_experiment(dict.fromkeys(keys)) is answer


@pytest.mark.parametrize("file", ["cohort", "experiment"])
def test_the_schema_is_json_with_every_setting(file):
    schema = json.loads(json.dumps(schema_of(file)))
    assert ">>>" not in json.dumps(schema)  # examples in docstrings are Python
    assert set(schema["properties"]) >= {"cohort": {"patients", "modalities"}, "experiment": {"cohort", "models"}}[file]


def test_the_schema_lets_components_be_named():
    fusion = schema_of("experiment")["$defs"]["Model"]["properties"]["fusion"]
    assert {"type": "string"} in fusion["anyOf"]
    assert fusion["default"]["kind"] == "gated"


def test_seeds_are_those_that_were_used(read):
    assert seeds(read(GOOD)) == {"patients": 3, "model": 7, "evaluation": 0}
    assert seeds(read("cohort: c\nfolds: {column: fold}")) == {"model": 0, "evaluation": 0}
