"""From files to a cohort: simulated cohorts hold the truth they claim, real ones open, large ones fit in memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fusiondx.data.cohort import Cohort
from fusiondx.data.synthetic import simulate, simulate_null, simulate_xor
from fusiondx.errors import ConfigError

FACTORS = ("clinical", "omics", "image")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulated"), patients=600, image_size=32)


def test_a_simulated_cohort_reads_cleanly(simulated, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path))
    cohort = Cohort.read(simulated)
    assert "SIMULATED" in cohort.title
    assert cohort.shape == (600, 3)
    assert cohort.check() == []
    present = {name: modality.present.mean() for name, modality in cohort.modalities.items()}
    assert present["clinical"] == 1
    assert present["omics"] == pytest.approx(0.8, abs=0.06)
    assert present["image"] == pytest.approx(0.8, abs=0.06)
    assert 1 - cohort.y("survival")["event"].mean() == pytest.approx(0.4, abs=0.01)


def test_every_factor_tells_a_part_and_all_tell_more(simulated):
    truth = pd.read_csv(simulated.parent / "truth.csv")
    label = Cohort.read(simulated).targets["diagnosis"].fields["label"]
    alone = [roc_auc_score(label, truth[name]) for name in FACTORS]
    assert min(alone) > 0.62
    assert roc_auc_score(label, truth["risk"]) > max(alone) + 0.1


def test_every_modality_shows_its_own_factor_only(simulated, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path))
    cohort = Cohort.read(simulated)
    truth = pd.read_csv(simulated.parent / "truth.csv")
    clinical, omics, image = (cohort.modalities[name] for name in FACTORS)
    pixels = image.data.pixels()[image.rows].astype(float)
    seen = {
        "clinical": (np.nan_to_num(clinical.data.numeric[clinical.rows], nan=60.0), clinical.present),
        "omics": (omics.data.numeric[omics.rows], omics.present),
        "image": (np.column_stack([pixels.mean((1, 2, 3)), pixels.std((1, 2, 3))]), image.present),
    }
    for name, (values, present) in seen.items():
        for factor in FACTORS:
            share = explained(values, truth.loc[present, factor].to_numpy())
            assert share > 0.3 if factor == name else share < 0.2


def explained(values, factor):
    """Share of variance, adjusted for the number of columns."""
    design = np.column_stack([np.ones(len(values)), values])
    residual = factor - design @ np.linalg.lstsq(design, factor, rcond=None)[0]
    n, p = design.shape
    return 1 - (residual @ residual / (n - p)) / factor.var(ddof=1)


def test_the_same_seed_gives_the_same_cohort(tmp_path):
    prints = [
        Cohort.read(simulate(tmp_path / str(i), patients=30, seed=seed, image_size=16)).fingerprint
        for i, seed in enumerate((1, 1, 2))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_xor_is_told_by_both_and_by_neither_alone():
    cohort = simulate_xor(200)
    left, right = (cohort.modalities[n].data.numeric[:, 0] > 0 for n in ("left", "right"))
    answer = cohort.targets["differ"].fields["label"] == 1
    assert ((left != right) == answer).all()
    assert (left == answer).mean() == (right == answer).mean() == 0.5


def test_null_tells_nothing():
    cohort = simulate_null(2000)
    label = cohort.targets["label"].fields["label"]
    for modality in cohort.modalities.values():
        assert np.abs(np.corrcoef(np.column_stack([modality.data.numeric, label]).T)[-1, :-1]).max() < 0.08


REAL = Path(os.environ.get("FUSIONDX_DATA", Path(__file__).parents[3] / "shared" / "data"))
PATIENTS = {"glioma": 574, "nsclc_ct": 300, "derm7pt": 1011}
CONFIGS = {
    "glioma": """
patients: {file: patients.csv, site: site}
modalities:
  clinical: {kind: table, numeric: [age_years], categorical: [sex]}
  omics: {kind: genomics, file: omics.csv.gz, columns: ["*_rnaseq", "*_cnv"]}
  mri: {kind: image, file: images.csv, path: image, mask: mask}
targets: {survival: {kind: survival, time: os_months, event: os_event}}
""",
    "nsclc_ct": """
patients: {file: patients.csv, site: site}
modalities:
  radiomics: {kind: table, file: radiomics.csv, numeric: ["*"]}
  ct: {kind: volume, path: ct, mask: tumour_mask}
targets: {survival: {kind: survival, time: os_days, event: os_event, unit: days}}
""",
    "derm7pt": """
patients: {file: cases.csv}
modalities:
  clinical: {kind: table, categorical: [sex, location, elevation]}
  derm: {kind: image, path: derm}
targets: {melanoma: {kind: classes, column: melanoma}}
""",
}


@pytest.mark.cohorts
@pytest.mark.parametrize("name", PATIENTS)
def test_real_cohorts_open(name, tmp_path):
    if not (REAL / name).is_dir():
        pytest.skip(f"real cohorts are not at {REAL}; set FUSIONDX_DATA")
    (tmp_path / "cohort.yaml").write_text(CONFIGS[name])
    cohort = Cohort.read(tmp_path / "cohort.yaml", data=REAL / name)
    assert len(cohort) == PATIENTS[name]
    group = "site" if cohort.site is not None else None
    train, test = cohort.split(0.2, group=group)
    assert len(train) + len(test) == len(cohort)
    if name == "glioma":
        assert [int(m.present.sum()) for m in cohort.modalities.values()] == [574, 569, 110]
        assert not set(train.site) & set(test.site)
        assert len(cohort.folds(column="published_fold")) == 5
    if name == "derm7pt":
        train, test = cohort.split(column="split", train=["train", "valid"], test=["test"])
        assert (len(train), len(test)) == (616, 395)


LOAD = """
import resource, sys
import pandas as pd
from fusiondx.data.cohort import Cohort
patients = pd.DataFrame({"patient_id": [f"P{i}" for i in range(5000)]})
cohort = Cohort.from_frame(patients, modalities={"o": {"kind": "genomics", "file": "omics.csv"}}, data=sys.argv[1])
data = cohort.modalities["o"].data.numeric
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, *data.shape, *data[[0, 77, 4999], [0, 19999, 5]])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units")
def test_20000_genes_of_5000_patients_load_within_2_gigabytes(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 20_000)).round(4)
    rows = [",".join(map(str, row)) for row in values]
    with (tmp_path / "omics.csv").open("w") as file:
        file.write("patient_id," + ",".join(f"g{j}" for j in range(20_000)) + "\n")
        file.writelines(f"P{i},{rows[i % 50]}\n" for i in range(5000))
    done = subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], capture_output=True, text=True, check=True)
    gigabytes, *rest = map(float, done.stdout.split())
    assert gigabytes < 2
    assert rest[:2] == [5000, 20_000]
    np.testing.assert_allclose(rest[2:], [values[0, 0], values[27, 19_999], values[49, 5]], rtol=1e-6)


@pytest.mark.parametrize(
    "setting", [{"patients": 0}, {"missing": 1.5}, {"missing": -0.1}, {"seed": -1}, {"image_size": 0}]
)
def test_a_cohort_that_cannot_be_simulated_is_refused(tmp_path, setting):
    with pytest.raises(ConfigError, match="patients and image_size from 1"):
        simulate(tmp_path / "made", **setting)
    assert not (tmp_path / "made").exists()
