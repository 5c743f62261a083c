"""Do simulated stand-ins have the layout that the configurations of the public cohorts read?"""

import warnings
from pathlib import Path

import pytest

import fusiondx as fdx
from fusiondx.core.settings import read_yaml
from fusiondx.data.standins import WRITERS, real_or_simulated, stand_in
from fusiondx.experiment import preflight
from fusiondx.experiment.file import is_experiment, read_experiment

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = [path for name in WRITERS for path in sorted((CONFIGS / name).glob("*.yaml")) if "bags" not in path.name]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: stand_in(name, tmp_path_factory.mktemp(name), patients=80) for name in WRITERS}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_configuration_reads_its_stand_in(file, folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error", fdx.FusionDxWarning)
        if not is_experiment(read_yaml(file)):
            cohort = fdx.Cohort.read(file, folders[file.parent.name])
        else:
            experiment = read_experiment(file)
            cohort = preflight.read_patients(experiment, file, folders[file.parent.name])
            preflight.check(experiment, cohort)
    assert 15 <= len(cohort) <= 80


def test_most_simulated_gliomas_have_no_mri(folders):
    cohort = fdx.Cohort.read(CONFIGS / "glioma" / "cohort.yaml", folders["glioma"])
    assert len(cohort.having(["mri"])) == 20


def test_it_says_which_cohort_it_found(monkeypatch, tmp_path):
    monkeypatch.delenv("FUSIONDX_DATA", raising=False)
    folder, said = real_or_simulated("derm7pt", patients=10)
    assert said.startswith("A SIMULATED stand-in for 'derm7pt', 10 patients")
    assert len(fdx.Cohort.read(CONFIGS / "derm7pt" / "cohort.yaml", folder)) == 10
    (tmp_path / "derm7pt").mkdir()
    monkeypatch.setenv("FUSIONDX_DATA", str(tmp_path))
    assert real_or_simulated("derm7pt") == (tmp_path / "derm7pt", "The REAL cohort 'derm7pt'.")


def test_a_name_that_is_no_cohort_is_told():
    with pytest.raises(fdx.FusionDxError, match="Did you mean 'glioma'"):
        stand_in("gliom", "nowhere")
