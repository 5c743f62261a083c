"""Does a design plant what it says?"""

from __future__ import annotations

import numpy as np
import pytest

import fusiondx as fdx
from fusiondx.data.missingness import present
from fusiondx.errors import ConfigError
from fusiondx.evaluation.discrimination import auroc

PATIENTS = 4000


def column(cohort: fdx.Cohort, name: str) -> np.ndarray:
    return cohort.column(name).astype(float)


def told_by(cohort: fdx.Cohort, score: np.ndarray) -> float:
    return float(auroc(score, cohort.targets["outcome"].fields["label"] == 1))


def test_what_is_unique_redundant_and_synergistic_is_found_where_it_was_planted() -> None:
    design = fdx.Design(
        {
            "own": fdx.Planted(uniqueness=1.0, synergy=True, noise=0.1),
            "first": fdx.Planted(redundancy=1.0, synergy=True, noise=0.1),
            "second": fdx.Planted(redundancy=0.8, noise=0.1, columns=6),
            "dead": fdx.Planted(),
        },
        shared=1.0,
        synergy=1.0,
    )
    assert design.live == {"own": True, "first": True, "second": True, "dead": False}
    cohort = design.draw(PATIENTS)
    assert told_by(cohort, column(cohort, "own_0")) > 0.6
    assert told_by(cohort, column(cohort, "first_1")) == pytest.approx(
        told_by(cohort, column(cohort, "second_1")), abs=0.02
    )
    assert np.corrcoef(column(cohort, "first_1"), column(cohort, "second_1"))[0, 1] > 0.9
    sides = column(cohort, "own_2"), column(cohort, "first_2")
    assert [told_by(cohort, side) for side in sides] == pytest.approx([0.5, 0.5], abs=0.03)
    assert told_by(cohort, np.sign(sides[0]) * np.sign(sides[1])) > 0.6
    for name in ("own_1", "own_3", "first_0", "second_2", "second_5", "dead_0", "dead_2"):
        assert told_by(cohort, column(cohort, name)) == pytest.approx(0.5, abs=0.03)
    best = told_by(cohort, column(cohort, "true_risk"))
    assert best > max(told_by(cohort, column(cohort, name)) for name in ("own_0", "first_1")) + 0.05


@pytest.mark.parametrize("censoring", [0.0, 0.3, 0.8])
def test_any_share_is_censored_and_a_high_risk_means_an_early_event(censoring: float) -> None:
    design = fdx.Design({"a": fdx.Planted(uniqueness=1.0)}, target="survival", censoring=censoring)
    cohort = design.draw(1000)
    event, time = (cohort.targets["outcome"].fields[name] for name in ("event", "time"))
    assert 1 - event.mean() == pytest.approx(censoring, abs=0.002)
    died = event == 1
    assert np.corrcoef(column(cohort, "true_risk")[died], np.log(time[died]))[0, 1] < -0.15


@pytest.mark.parametrize("prevalence", [0.1, 0.5])
def test_the_share_of_positives_is_the_prevalence(prevalence: float) -> None:
    cohort = fdx.Design({"a": fdx.Planted(uniqueness=2.0)}, prevalence=prevalence).draw(PATIENTS)
    assert cohort.targets["outcome"].fields["label"].mean() == pytest.approx(prevalence, abs=0.03)


def test_sites_shift_columns_and_outcomes() -> None:
    design = fdx.Design({"a": fdx.Planted()}, sites=4, site_shift=5.0, site_effect=3.0)
    cohort = design.draw(PATIENTS)
    groups = [cohort.site == name for name in np.unique(cohort.site)]
    assert len(groups) == 4
    assert np.std([column(cohort, "a_3")[who].mean() for who in groups]) > 1
    assert np.ptp([cohort.targets["outcome"].fields["label"][who].mean() for who in groups]) > 0.3
    one = fdx.Design({"a": fdx.Planted()}).draw(50)
    assert one.site is None


def test_modalities_go_missing_as_asked_and_the_same_seed_gives_the_same_cohort() -> None:
    design = fdx.Design({"a": fdx.Planted(), "b": fdx.Planted()}, missing=fdx.MNAR({"b": 0.4}))
    cohort = design.draw(1000, seed=3)
    assert (~present(cohort)).mean(axis=0) == pytest.approx([0, 0.4], abs=0.05)
    assert cohort.fingerprint == design.draw(1000, seed=3).fingerprint != design.draw(1000, seed=4).fingerprint


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="synergy takes two modalities"):
        fdx.Design({"a": fdx.Planted(synergy=True)}, synergy=1.0)
    with pytest.raises(ConfigError, match="two or more patients"):
        fdx.Design({"a": fdx.Planted()}).draw(1)


def shown(found: fdx.Power) -> dict[tuple[int, str], float]:
    frame = found.frame()
    assert (frame["low"] <= frame["power"]).all()
    assert (frame["power"] <= frame["high"]).all()
    return {(row.patients, row.question): row.power for row in frame.itertuples()}


def test_more_patients_show_more_and_nothing_is_shown_of_the_dead() -> None:
    design = fdx.Design({"a": fdx.Planted(uniqueness=2.0), "b": fdx.Planted(uniqueness=2.0), "dead": fdx.Planted()})
    found = fdx.power(design, [40, 200], folds=3, simulations=8, replicates=100)
    share = shown(found)
    gain = "fusion beats the best single modality"
    assert share[200, gain] >= 0.75 > share[40, gain]
    assert share[200, "a is used"] >= 0.9
    assert share[200, "dead is used"] <= 0.375
    assert gain in str(found)


def test_an_interaction_is_shown_by_a_model_that_can_learn_it() -> None:
    design = fdx.Design({name: fdx.Planted(synergy=True, noise=0.2) for name in "ab"}, synergy=2.0, target="survival")
    found = fdx.power(design, 150, folds=3, simulations=6, replicates=100)
    assert shown(found)[150, "a is used"] >= 0.8


def test_numbers_of_patients_may_come_from_numpy() -> None:
    pair = fdx.Design({"a": fdx.Planted(), "b": fdx.Planted()})
    quick = {"folds": 2, "simulations": 1, "replicates": 20}
    tables = [fdx.power(pair, patients, **quick).frame() for patients in (40, np.int64(40), np.array([40]))]
    assert all(table.equals(tables[0]) for table in tables)


def test_impossible_studies_are_refused() -> None:
    pair = fdx.Design({"a": fdx.Planted(), "b": fdx.Planted()})
    for wrong in ({"patients": 5}, {"patients": 100, "simulations": 0}, {"patients": []}):
        with pytest.raises(ConfigError, match="two patients or more per fold"):
            fdx.power(pair, **wrong)
    with pytest.raises(ConfigError, match="two modalities or more"):
        fdx.power(fdx.Design({"a": fdx.Planted()}), 100)
