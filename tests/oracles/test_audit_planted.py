"""Are planted mistakes found, and clean cohorts left in peace? Eight mistakes, on cohorts with signal."""

import warnings

import numpy as np
import pandas as pd
import PIL.Image
import pytest

import fusiondx as fdx
from fusiondx.data.synthetic import simulate

PATIENTS = 200


def table(seed, patients=PATIENTS):
    """A clean cohort: a third of 40 genes, age and stage carry signal; sites carry none; some gaps."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=patients)
    loadings = np.where(rng.random(40) < 1 / 3, rng.normal(scale=0.7, size=40), 0.0)
    genes = rng.normal(size=(patients, 40)) + factor[:, None] * loadings
    death, leaving = rng.exponential(size=(2, patients)) * [[30], [40]] * np.exp([-factor, 0 * factor])
    frame = pd.DataFrame(np.round(genes, 4), columns=[f"gene_{j:02d}" for j in range(40)]).assign(
        patient_id=[f"P{i:04d}" for i in rng.permutation(patients)],
        site=rng.choice([f"h{k:02d}" for k in range(12)], patients, p=np.arange(1, 13) / 78),
        age=np.round(60 + 6 * factor + rng.normal(scale=8, size=patients)),
        stage=np.array(["I", "II", "III"])[np.digitize(factor + rng.normal(scale=1.5, size=patients), [-0.5, 1])],
        psa=np.round(rng.lognormal(1, 0.8, patients), 2),
        diagnosed=[str(day) for day in np.datetime64("2015-01-01") + rng.integers(0, 1500, patients)],
        months=np.round(np.minimum(death, leaving), 2) + 0.01,
        event=(death <= leaving).astype(int),
        label=np.where(rng.random(patients) < 1 / (1 + np.exp(-1.5 * factor)), "bad", "good"),
    )
    frame["psa_date"] = [str(np.datetime64(day) - back) for day in frame.diagnosed for back in rng.integers(1, 60, 1)]
    frame.loc[rng.random(patients) < 0.05, "age"] = np.nan
    return frame


def read(frame, genes="gene_*"):
    return fdx.Cohort.from_frame(
        frame,
        modalities={
            "clinical": fdx.Table(numeric=("age", "psa"), categorical=("stage",)),
            "omics": fdx.Table(numeric=(genes,)),
        },
        targets={"survival": fdx.Survival("months", "event"), "label": fdx.Classes("label", classes=("good", "bad"))},
        site="site",
    )


def audited(frame, seed, **options):
    cohort = read(frame)
    return fdx.audit(cohort, cohort.folds(3, seed=seed, **options), index="diagnosed")


def duplicated(seed, folder):
    """One patient of every fifty comes again under another id, with the follow-up brought up to date."""
    frame = table(seed)
    again = frame[::50].assign(patient_id=[f"Q{i}" for i in range(len(frame[::50]))])
    again["months"] += 3
    return audited(pd.concat([frame, again], ignore_index=True), seed, group=None)


def scaled(seed, folder):
    """Genes standardised before the split."""
    frame = table(seed)
    genes = [c for c in frame if c.startswith("gene")]
    return audited(frame.assign(**((frame[genes] - frame[genes].mean()) / frame[genes].std()).round(4)), seed)


def filtered(seed, folder):
    """The 40 of 2,000 columns of noise that go best with the label, over all patients."""
    frame, rng = table(seed), np.random.default_rng(seed + 10_000)
    noise = rng.normal(size=(len(frame), 2000))
    bad = (frame.label == "bad").to_numpy()
    best = np.argsort(-np.abs(noise[bad].mean(axis=0) - noise[~bad].mean(axis=0)))[:40]
    return audited(frame.assign(**{f"gene_{j:02d}": noise[:, best[j]] for j in range(40)}), seed)


def proxy(seed, folder):
    """A gene that is the label with some noise."""
    frame, rng = table(seed), np.random.default_rng(seed + 10_000)
    return audited(frame.assign(gene_07=(frame.label == "bad") + rng.normal(scale=0.25, size=len(frame))), seed)


def confounded(seed, folder):
    """Half the hospitals see 85 % bad cases, the others 20 %."""
    frame, rng = table(seed), np.random.default_rng(seed + 10_000)
    hard = frame.site.isin([f"h{k:02d}" for k in range(0, 12, 2)])
    return audited(
        frame.assign(label=np.where(rng.random(len(frame)) < np.where(hard, 0.85, 0.2), "bad", "good")), seed
    )


def postdated(seed, folder):
    """In some patients the marker was measured after diagnosis."""
    frame, rng = table(seed), np.random.default_rng(seed + 10_000)
    late = [str(np.datetime64(day) + 90) for day in frame.diagnosed]
    return audited(frame.assign(psa_date=np.where(rng.random(len(frame)) < 0.1, late, frame.psa_date)), seed)


def trained_on_test(seed, folder):
    """The model saw all patients; the split came later."""
    cohort = read(table(seed, 60))
    model = fdx.FusionModel(dim=4, training=fdx.Training(epochs=1, validation=0), seed=seed).fit(cohort)
    return fdx.audit(cohort, cohort.split(0.3, seed=seed), model)


def copied_image(seed, folder):
    """An image of another patient, smaller, brighter and compressed, stands in for one's own."""
    path = simulate(folder, patients=60, missing=0.0, seed=seed, image_size=48)
    rng = np.random.default_rng(seed)
    ids = [f"S{i:04d}" for i in rng.permutation(60)[:12]]
    for one, other in zip(ids[::2], ids[1::2], strict=True):
        with PIL.Image.open(folder / f"images/{one}.png") as image:
            pixels = np.asarray(image.resize((40, 40)).resize((48, 48))) * 1.1 + rng.normal(scale=3, size=(48, 48))
        PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"images/{other}.png")
    cohort = fdx.Cohort.read(path)
    return fdx.audit(cohort, cohort.folds(3, group=None, seed=seed))


MISTAKES = {
    "FDX002": duplicated,
    "FDX003": copied_image,
    "FDX004": trained_on_test,
    "FDX006": confounded,
    "FDX007": scaled,
    "FDX008": filtered,
    "FDX009": proxy,
    "FDX010": postdated,
}


def clean(seed, folder):
    return audited(table(seed, (100, 200, 400)[seed % 3]), seed)


def clean_images(seed, folder):
    cohort = fdx.Cohort.read(simulate(folder, patients=60, seed=seed, image_size=48))
    return fdx.audit(cohort, cohort.folds(3, seed=seed))


def found(make, seeds, folder, monkeypatch):
    """The codes of errors and warnings, seed by seed."""
    monkeypatch.setenv("FUSIONDX_CACHE", str(folder / "cache"))
    reports = []
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reports.append(make(seed, place))
    return [{f.code for f in report.findings if f.severity != "note"} for report in reports]


@pytest.mark.parametrize("code", MISTAKES)
def test_a_planted_mistake_is_found(code, tmp_path, monkeypatch):
    assert all(code in codes for codes in found(MISTAKES[code], range(2), tmp_path, monkeypatch))


@pytest.mark.slow
@pytest.mark.parametrize("code", MISTAKES)
def test_99_of_100_planted_mistakes_are_found(code, tmp_path, monkeypatch):
    hits = sum(code in codes for codes in found(MISTAKES[code], range(100), tmp_path, monkeypatch))
    assert hits >= 99, f"{hits} of 100"


@pytest.mark.parametrize("make", [clean, clean_images])
def test_a_clean_cohort_is_left_in_peace(make, tmp_path, monkeypatch):
    assert found(make, range(3), tmp_path, monkeypatch) == [set()] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("make", "cohorts"), [(clean, 500), (clean_images, 100)])
def test_at_most_2_of_100_clean_cohorts_raise_an_alarm(make, cohorts, tmp_path, monkeypatch):
    codes = found(make, range(cohorts), tmp_path, monkeypatch)
    alarms = [one for one in codes if one]
    assert len(alarms) <= 0.02 * cohorts, f"{len(alarms)} of {cohorts}: {alarms}"
