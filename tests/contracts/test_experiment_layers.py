"""Does a file that extends another mean what the merge rule says, and can its settings be looked at and compared?"""

import pytest
import yaml

from fusiondx.errors import ConfigError
from fusiondx.experiment.file import read_experiment, written
from fusiondx.experiment.layers import layered, merged
from fusiondx.experiment.resolved import differences, resolved
from fusiondx.fusion import Concat, Gated
from fusiondx.training import Training

BASE = """\
cohort: cohort.yaml
require: [mri]
folds: {k: 3}
model: {encoders: {omics: snn, mri: {kind: convnet, channels: [8]}}, fusion: {kind: gated, dropout: 0.35}}
"""


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    write("base.yaml", BASE)
    return write


def test_what_is_not_said_comes_from_the_file_extended(write):
    path = write("a.yaml", "extends: base.yaml\nmodel: {training: {epochs: 5}, encoders: {omics: {hidden: [32]}}}")
    model = read_experiment(path).model
    assert model.fusion == Gated(dropout=0.35)
    assert model.training == Training(epochs=5)
    assert (model.encoders["omics"].kind, model.encoders["omics"].hidden) == ("snn", (32,))
    assert model.encoders["mri"].channels == (8,)


@pytest.mark.parametrize(
    ("below", "above", "found"),
    [
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"f": {"kind": "gated", "dropout": 0.3}}, {"f": {"kind": "concat"}}, {"f": {"kind": "concat"}}),
        ({"f": {"kind": "gated", "dropout": 0.3}}, {"f": "concat"}, {"f": "concat"}),
        ({"f": "gated"}, {"f": {"dropout": 0.3}}, {"f": {"kind": "gated", "dropout": 0.3}}),
        ({"f": "gated"}, {"f": {"kind": "concat", "dropout": 0}}, {"f": {"kind": "concat", "dropout": 0}}),
    ],
)
def test_the_merge_rule(below, above, found):
    assert merged(below, above) == found


def test_of_alternatives_the_nearer_file_decides(write):
    path = write("a.yaml", "extends: base.yaml\nsplit: {test: 0.5}\nmodels: {a: {fusion: concat}}")
    experiment = read_experiment(path)
    assert (experiment.folds, experiment.model) == (None, None)
    assert experiment.models["a"].fusion == Concat()
    assert read_experiment(write("b.yaml", "extends: base.yaml\nsplit: null")).folds.k == 3


def test_paths_are_relative_to_the_file_that_says_them(write):
    write("deep/base.yaml", BASE)
    write("deep/middle.yaml", "extends: base.yaml\ntitle: middle")
    path = write("a.yaml", "extends: deep/middle.yaml")
    experiment = read_experiment(path)
    assert (experiment.cohort, experiment.title, experiment.extends) == ("deep/cohort.yaml", "middle", None)
    assert "extends" not in yaml.safe_load(written(experiment))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("extends: bsae.yaml", "a.yaml: extends: bsae.yaml does not exist. Did you mean 'base.yaml'?"),
        ("extends: ../x.yaml", "lies outside this file's folder"),
        ("extends: /etc/passwd", "lies outside this file's folder"),
        ("extends: a.yaml", "a.yaml extends itself"),
        ("extends: b.yaml", "a.yaml extends itself"),
        ("extends: [base.yaml]", "give the path of one YAML file"),
        ("extend: base.yaml", "extend: unknown key. Did you mean 'extends'?"),
        ("extends: base.yaml\nmodel: {fusoin: mean}", "model.fusoin: unknown key. Did you mean 'fusion'?"),
    ],
)
def test_a_mistake_is_told(write, content, message):
    write("b.yaml", "extends: a.yaml")
    with pytest.raises(ConfigError) as caught:
        read_experiment(write("a.yaml", content))
    assert message in str(caught.value)


def test_reading_layers_changes_no_file(write):
    path = write("a.yaml", "extends: base.yaml\nmodel: {dim: 8}")
    assert layered(path) == layered(path)
    assert path.with_name("base.yaml").read_text() == BASE


def test_differences_name_every_setting_that_differs_and_no_other(write):
    a = write("a.yaml", "extends: base.yaml\nrequire: []\nmodel: {fusion: concat}")
    lines = differences(resolved(write("base.yaml", BASE)), resolved(a))
    assert "model.fusion.kind: gated -> concat" in lines
    assert "require: [mri] -> []" in lines
    assert {line.split(":")[0] for line in lines} <= {"require", "model.fusion.kind", "model.fusion.dropout"}
    assert differences(resolved(a), resolved(a)) == []


def test_a_change_is_seen_in_the_settings_in_force(write):
    found = resolved(write("base.yaml", BASE), ["model.fusion.kind=mean", "model.training.epochs=4"])
    assert (found["model"]["fusion"], found["model"]["training"]["epochs"]) == ({"kind": "mean"}, 4)
    assert found["evaluation"]["replicates"] == 1000
    cohort = write("cohort.yaml", "patients: {file: p.csv}\nmodalities: {t: {kind: table, numeric: [a]}}")
    assert resolved(cohort, ["patients.id=who"])["patients"]["id"] == "who"
