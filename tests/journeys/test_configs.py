"""Every file in configs/ runs through the command line on the real patients, in a short version."""

import json
import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fusiondx.cli import app
from fusiondx.data.cohort import Cohort
from fusiondx.data.synthetic import simulate
from fusiondx.experiment import preflight, running
from fusiondx.experiment.file import is_experiment, read_experiment

CONFIGS = Path(__file__).parents[2] / "configs"
REAL = Path(os.environ.get("FUSIONDX_DATA", Path(__file__).parents[3] / "shared" / "data"))
FILES = {str(p.relative_to(CONFIGS)): yaml.safe_load(p.read_text()) for p in sorted(CONFIGS.rglob("*.yaml"))}
EXPERIMENTS = {name: settings for name, settings in FILES.items() if is_experiment(settings)}
HELD_OUT = {
    "derm7pt/best.yaml": [395],
    "glioma/best.yaml": [114, 114, 114, 114, 113],
    "glioma/best_idh1.yaml": [21] * 15,
    "nsclc_ct/best.yaml": [60] * 25,
    "nsclc_ct/best_l1_to_l2.yaml": [101],
    "nsclc_ct/best_l2_to_l1.yaml": [199],
    "derm7pt/encoders.yaml": [506, 505],
    "glioma/encoders_clinical.yaml": [114, 114, 114, 114, 113],
    "glioma/encoders_omics.yaml": [114, 114, 114, 114, 113],
    "glioma/segmentation.yaml": [22],
    "nsclc_ct/encoders.yaml": [60] * 5,
    "derm7pt/melanoma.yaml": [395],
    "glioma/idh1.yaml": [21] * 15,
    "glioma/survival.yaml": [114, 114, 114, 114, 113],
    "nsclc_ct/l1_to_l2.yaml": None,
    "nsclc_ct/l2_to_l1.yaml": None,
    "nsclc_ct/survival.yaml": [60] * 25,
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSIONDX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def patches(tmp_path_factory):
    """The folder that configs/derm7pt/patches.py makes."""
    out = tmp_path_factory.mktemp("patches")
    subprocess.run([sys.executable, CONFIGS / "derm7pt" / "patches.py", data("derm7pt/bags.yaml"), out], check=True)
    return out


def data(name):
    folder = REAL / Path(name).parent
    if not folder.is_dir():
        pytest.skip(f"real cohorts are not at {REAL}; set FUSIONDX_DATA")
    return folder


def short(settings):
    """Overrides that leave everything as it is but its length."""
    models = [f"models.{name}" for name in settings.get("models", ())] or ["model"]
    changes = ["evaluation={baselines: false, replicates: 5}", *(f"{model}.training.epochs=1" for model in models)]
    changes += [f"{model}.training.members=1" for model in models]
    return [*changes, *(["folds={k: 2}"] if "folds" in settings else [])]


def test_every_file_is_an_experiment_or_the_cohort_of_one():
    used = {str(Path(name).parent / settings["cohort"]) for name, settings in EXPERIMENTS.items()}
    assert used | EXPERIMENTS.keys() == FILES.keys()
    assert EXPERIMENTS.keys() == HELD_OUT.keys() | {"derm7pt/bags.yaml"}


LONG = (
    *(name for name in EXPERIMENTS if "best" in name),
    "derm7pt/bags.yaml",
    "derm7pt/encoders.yaml",
    "derm7pt/melanoma.yaml",
    "nsclc_ct/encoders.yaml",
    "glioma/segmentation.yaml",
)


@pytest.mark.cohorts
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in EXPERIMENTS])
def test_it_runs(cache, name, tmp_path, request):
    folder = request.getfixturevalue("patches") if name == "derm7pt/bags.yaml" else data(name)
    out = tmp_path / "run"
    overrides = [word for change in short(EXPERIMENTS[name]) for word in ("--set", change)]
    with pytest.raises(SystemExit) as left:
        app(["run", str(CONFIGS / name), "--data", str(folder), "--out", str(out), *overrides])
    assert not left.value.code
    assert json.loads((out / "manifest.json").read_text())["title"] == EXPERIMENTS[name]["title"]
    metrics = pd.read_csv(out / "metrics.csv")
    assert metrics["estimate"].notna().any()
    assert (out / "report.html").stat().st_size > 10_000


@pytest.mark.cohorts
@pytest.mark.parametrize("name", HELD_OUT)
def test_it_holds_out_whom_it_says(cache, name):
    experiment = read_experiment(CONFIGS / name)
    cohort = preflight.read_patients(experiment, CONFIGS / name, data(name))
    if experiment.folds is not None:
        held = [len(test) for _, test in experiment.folds.of(cohort)]
        assert sorted(held, reverse=True) == HELD_OUT[name]
    else:
        train, test = experiment.split.of(cohort)
        assert len(train) + len(test) == len(cohort)
        assert not set(train.ids) & set(test.ids)
        if HELD_OUT[name] is not None:
            assert [len(test)] == HELD_OUT[name]


@pytest.mark.cohorts
def test_idh1_is_never_asked_of_genes():
    folder = data("glioma/idh1.yaml")
    experiment = read_experiment(CONFIGS / "glioma" / "idh1.yaml")
    cohort = preflight.read_patients(experiment, CONFIGS / "glioma" / "idh1.yaml", folder)
    assert len(cohort) == 105
    assert {modality.spec.kind for modality in cohort.modalities.values()} == {"table", "image"}
    assert not [column for column in cohort.modalities["clinical"].data.names if "idh" in column.lower()]


@pytest.mark.cohorts
def test_the_five_without_a_fold_always_train():
    cohort = Cohort.read(CONFIGS / "glioma" / "cohort.yaml", data("glioma/survival.yaml"))
    folds = read_experiment(CONFIGS / "glioma" / "survival.yaml").folds.of(cohort)
    always = set(cohort.ids).intersection(*(set(cohort.ids[train]) for train, _ in folds))
    assert len(always) == 5
    assert len({id for _, test in folds for id in cohort.ids[test]}) == len(cohort) - 5


@pytest.mark.cohorts
@pytest.mark.parametrize(("name", "site"), [("l1_to_l2", "l2"), ("l2_to_l1", "l1")])
def test_the_tested_hospital_is_never_trained_on(name, site):
    folder = data("nsclc_ct/x")
    path = CONFIGS / "nsclc_ct" / f"{name}.yaml"
    cohort = Cohort.read(CONFIGS / "nsclc_ct" / "cohort.yaml", folder)
    train, test = read_experiment(path).split.of(cohort)
    assert set(test.site) == {site}
    assert site not in set(train.site)
    assert len(train) + len(test) == 300


def test_the_results_table_is_written_from_reports(tmp_path):
    spec = spec_from_file_location("results", CONFIGS / "results.py")
    results = module_from_spec(spec)
    spec.loader.exec_module(results)
    place = tmp_path / "simulated" / "survival"
    place.mkdir(parents=True)
    experiment = Path(simulate(tmp_path / "data", patients=40, image_size=8)).with_name("experiment.yaml")
    quick = "model: {dim: 4, training: {epochs: 1, validation: 0}}\nevaluation: {replicates: 5}\n"
    experiment.write_text(f"cohort: cohort.yaml\nmodalities: [clinical, omics]\nsplit: {{test: 0.5}}\n{quick}")
    report = running.run(experiment, None, place / "run")
    report.to_json(place / "report.json")
    page = results.rewritten(f"before\n{results.BEGIN}\n\nold\n\n{results.END}\nafter", results.table(tmp_path))
    assert page.startswith("before\n")
    assert page.endswith("after")
    assert "old" not in page
    (row,) = [line for line in page.splitlines() if line.startswith("| `simulated")]
    lead, _single, *_ = report.about("survival")
    assert row.startswith("| `simulated/survival` | Harrell's C-index | ")
    assert results.outcome(lead.estimates[0]) in row
    assert results.BEGIN in results.README.read_text()
    assert results.END in results.README.read_text()
