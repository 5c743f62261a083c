"""Does degradation judge the right patients from the right modalities?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.core.predictions import ClassPrediction, Prediction
from fusiondx.data.missingness import keep, present
from fusiondx.errors import ConfigError
from fusiondx.evaluation.score import difference, score

PATIENTS = 200
NAMES = ("a", "b")


def cohort(missing: float = 0.2) -> fdx.Cohort:
    random = np.random.default_rng(0)
    signal = random.normal(size=(PATIENTS, 2))
    table = pd.DataFrame(signal, columns=list(NAMES)).mask(random.random((PATIENTS, 2)) < missing)
    table["patient_id"] = [f"P{row}" for row in range(PATIENTS)]
    table["label"] = np.where(signal @ [1.0, 1.0] + random.normal(size=PATIENTS) > 0, "yes", "no")
    tables = {name: fdx.Table(numeric=(name,)) for name in NAMES}
    return fdx.Cohort.from_frame(table, modalities=tables, targets={"label": fdx.Classes("label", ("no", "yes"))})


class Sum:
    """The log odds are the sum of what there is: a model that is not ours."""

    def predict(self, cohort: fdx.Cohort) -> Mapping[str, Prediction]:
        odds = np.zeros(len(cohort))
        for modality in cohort.modalities.values():
            place, rows = modality.locate(np.arange(len(cohort)))
            odds[place] += modality.data.numeric[rows, 0]
        yes = 1 / (1 + np.exp(-odds))
        return {"label": ClassPrediction(cohort.ids, ("no", "yes"), np.stack([1 - yes, yes], axis=1))}


def test_each_pattern_is_judged_on_those_who_have_it_from_it_alone() -> None:
    patients = cohort()
    frame = fdx.degradation(Sum(), patients, rates=(0,), replicates=50).frame().set_index("pattern")
    assert list(frame.index) == ["a+b", "a", "b"]
    has = present(patients)
    who = patients[np.flatnonzero(has[:, 0])]
    truth = who.targets["label"]
    masked = Sum().predict(keep(who, present(who) & [True, False]))["label"]
    whole = Sum().predict(who)["label"]
    alone = score([(masked, truth)], replicates=50)[0]
    change = difference([(masked, truth)], [(whole, truth)], "auroc", replicates=50)
    row = frame.loc["a"]
    assert row[["estimate", "low", "high"]].tolist() == pytest.approx([alone.value, alone.low, alone.high])
    assert row[["change", "change_low", "change_high"]].tolist() == pytest.approx(
        [change.value, change.low, change.high]
    )
    assert frame["n"].tolist() == [int(has.all(axis=1).sum()), *has.sum(axis=0)]
    assert frame.loc["a+b", "change"] == 0


def test_the_curve_falls_from_the_whole_to_chance() -> None:
    patients = cohort(missing=0)
    found = fdx.degradation(Sum(), patients, rates=(0, 0.5, 1), draws=3, replicates=50)
    curve = found.curve().set_index(["missing", "rate"])["estimate"]
    whole = found.frame().set_index("pattern")["estimate"]
    for what in ("every modality", "a", "b"):
        assert curve[what, 0.0] == pytest.approx(whole["a+b"])
        assert curve[what, 0.0] > curve[what, 0.5] > curve[what, 1.0]
    assert curve["every modality", 1.0] == 0.5
    assert curve["a", 1.0] == pytest.approx(whole["b"])
    assert "every modality" in str(found)
    assert "MCAR" in str(found)


def test_who_loses_follows_the_mechanism_whose_rate_does_not_count() -> None:
    def curve(mechanism: object) -> list[float]:
        return list(
            fdx.degradation(Sum(), cohort(), mechanism=mechanism, rates=(0.5,), draws=1, replicates=20).curve()[
                "estimate"
            ]
        )

    assert curve(fdx.MNAR(0.9, strength=3.0)) == curve(fdx.MNAR(0.1, strength=3.0)) != curve(None)


def test_a_pattern_that_cannot_be_judged_says_why() -> None:
    patients = cohort(missing=0)
    nobody = keep(patients, present(patients) & [True, False])
    frame = fdx.degradation(Sum(), nobody, rates=(0,), replicates=20).frame().set_index("pattern")
    assert frame.loc["b", "reason"] == "no patient whose truth is known"
    assert np.isnan(frame.loc["b", "estimate"])


def test_impossible_rates_are_refused() -> None:
    with pytest.raises(ConfigError, match="rates from 0 to 1"):
        fdx.degradation(Sum(), cohort(), rates=(0.5, 1.2))
    with pytest.raises(ConfigError, match="draws=0"):
        fdx.degradation(Sum(), cohort(), draws=0)
