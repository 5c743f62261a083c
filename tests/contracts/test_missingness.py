"""Does amputation take what it says, from whom it says, and nothing else?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.data.missingness import lost, present
from fusiondx.errors import ConfigError, DataError

PATIENTS = 2000
NAMES = ("x", "y", "z")
MECHANISMS = [fdx.MCAR(0.3), fdx.MAR(0.3, "age", 2.0), fdx.MAR(0.3, "site"), fdx.MNAR(0.3), fdx.MNAR(0.3, "survival")]


@pytest.fixture(scope="module")
def cohort() -> fdx.Cohort:
    """Three tables of which a tenth is missing each, so that some patients have one modality only, or none."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(PATIENTS, 3)), columns=list(NAMES))
    table = table.mask(random.random((PATIENTS, 3)) < 0.1).assign(
        patient_id=[f"P{row}" for row in range(PATIENTS)],
        age=random.integers(20, 90, PATIENTS),
        site=random.choice(["north", "south", "east", ""], PATIENTS),
        label=random.choice(["no", "yes"], PATIENTS),
        months=random.exponential(20, PATIENTS),
        event=random.choice([0, 1], PATIENTS),
    )
    targets = {"label": fdx.Classes("label", ("no", "yes")), "survival": fdx.Survival("months", "event")}
    tables = {name: fdx.Table(numeric=(name,)) for name in NAMES}
    return fdx.Cohort.from_frame(table, modalities=tables, targets=targets)


@pytest.mark.parametrize("keep_last", [True, False])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_share_lost_is_the_rate_asked_for(cohort: fdx.Cohort, mechanism: Any, keep_last: bool) -> None:
    taken = lost(cohort, fdx.ampute(cohort, mechanism, keep_last=keep_last)).set_index("modality")
    assert taken["had"].tolist() == present(cohort).sum(axis=0).tolist()
    error = np.sqrt(0.3 * 0.7 / taken["had"])
    assert (abs(taken["rate"] - 0.3) < 4 * error).all()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_it_takes_and_never_invents_or_moves(cohort: fdx.Cohort, mechanism: Any) -> None:
    before, after = present(cohort), present(fdx.ampute(cohort, mechanism))
    assert not (after & ~before).any()
    assert (after.any(axis=1) == before.any(axis=1)).all()
    assert np.array_equal(present(cohort), before), "a cohort never changes"
    left = fdx.ampute(cohort, mechanism).modalities["x"]
    place, rows = left.locate(np.arange(PATIENTS))
    assert np.array_equal(rows, cohort.modalities["x"].locate(place)[1])


def test_everything_is_taken_only_when_asked(cohort: fdx.Cohort) -> None:
    assert not present(fdx.ampute(cohort, fdx.MCAR(1.0), keep_last=False)).any()
    with pytest.raises(ConfigError, match="x, y, z to be missing that often"):
        fdx.ampute(cohort, fdx.MCAR(1.0))
    with pytest.raises(ConfigError, match="to be missing that often"):
        fdx.ampute(cohort.select(modalities=["x"]), fdx.MCAR(0.1))


def test_rates_go_by_modality(cohort: fdx.Cohort) -> None:
    taken = lost(cohort, fdx.ampute(cohort, fdx.MCAR({"x": 0.5, "z": 0.0}))).set_index("modality")["rate"]
    assert taken["x"] == pytest.approx(0.5, abs=0.05)
    assert taken["y"] == taken["z"] == 0


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_neither_the_order_of_patients_nor_of_modalities_counts(cohort: fdx.Cohort, mechanism: Any) -> None:
    whole = fdx.ampute(cohort, mechanism, seed=3)
    order = np.random.default_rng(1).permutation(PATIENTS)
    turned = fdx.ampute(cohort[order].select(modalities=NAMES[::-1]), mechanism, seed=3)
    assert np.array_equal(present(turned.take_ids(whole.ids).select(modalities=NAMES)), present(whole))
    assert not np.array_equal(present(fdx.ampute(cohort, mechanism, seed=4)), present(whole))


def test_without_a_leaning_a_patient_fares_alike_in_any_company(cohort: fdx.Cohort) -> None:
    whole = fdx.ampute(cohort, fdx.MCAR(0.4), keep_last=False)
    assert np.array_equal(present(fdx.ampute(cohort[:50], fdx.MCAR(0.4), keep_last=False)), present(whole[:50]))


def test_who_loses_follows_the_column_or_the_outcome(cohort: fdx.Cohort) -> None:
    def without_x(mechanism: Any) -> Any:
        return present(cohort)[:, 0] & ~present(fdx.ampute(cohort, mechanism))[:, 0]

    age = cohort.column("age").astype(float)
    yes = cohort.targets["label"].fields["label"] == 1
    event, months = cohort.targets["survival"].fields["event"] == 1, cohort.targets["survival"].fields["time"]
    old, sick = without_x(fdx.MAR(0.3, "age", 2.0)), without_x(fdx.MNAR(0.3, "label", 2.0))
    early, chance = without_x(fdx.MNAR(0.3, "survival", 2.0)), without_x(fdx.MCAR(0.3))
    assert age[old].mean() > age.mean() + 5
    assert yes[sick].mean() > yes.mean() + 0.1
    assert event[early].mean() > event.mean() + 0.1
    assert months[early & event].mean() < months[event].mean()
    assert abs(age[chance].mean() - age.mean()) < 3
    assert abs(yes[chance].mean() - yes.mean()) < 0.06
    by_site = without_x(fdx.MAR(0.3, "site", 3.0))
    assert np.ptp([by_site[cohort.column("site") == site].mean() for site in ("north", "south", "east")]) > 0.2


def test_what_the_cohort_does_not_have_is_refused_by_name(cohort: fdx.Cohort) -> None:
    with pytest.raises(ConfigError, match=r"no modality 'xx'\. Did you mean 'x'"):
        fdx.ampute(cohort, fdx.MCAR({"xx": 0.1}))
    with pytest.raises(ConfigError, match=r"no target 'lable'\. Did you mean 'label'"):
        fdx.ampute(cohort, fdx.MNAR(0.1, "lable"))
    with pytest.raises(DataError, match="aeg"):
        fdx.ampute(cohort, fdx.MAR(0.1, "aeg"))
    with pytest.raises(ValueError, match="less than or equal to 1"):
        fdx.MCAR(1.5)


def test_a_cohort_with_gaps_taken_trains_as_any_other(cohort: fdx.Cohort) -> None:
    thinned = fdx.ampute(cohort[:60], fdx.MCAR(0.4), seed=1)
    model = fdx.FusionModel(dim=8, training=fdx.Training(epochs=1)).fit(thinned)
    assert np.isfinite(model.predict_proba(thinned, "label")).all()
    assert thinned.fingerprint != cohort[:60].fingerprint
