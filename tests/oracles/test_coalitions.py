"""Are Shapley values what their definition says, and coalitions what the model says of masked patients?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from math import factorial

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.coalitions import Coalitions, shapley_weights
from fusiondx.core.predictions import NumberPrediction, Prediction
from fusiondx.data.missingness import keep, present
from fusiondx.errors import ConfigError, DataError

NAMES = ("a", "b", "c")


def cohort(patients: int = 12) -> fdx.Cohort:
    """Three tables of one number; every pattern of missing ones occurs."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(patients, 3)), columns=list(NAMES))
    for bit, name in enumerate(NAMES):
        table.loc[np.arange(patients) >> bit & 1 == 0, name] = np.nan
    table = table.assign(patient_id=[f"P{row}" for row in range(patients)], dose=random.normal(size=patients))
    tables = {name: fdx.Table(numeric=(name,)) for name in NAMES}
    return fdx.Cohort.from_frame(table, modalities=tables, targets={"dose": fdx.Number("dose")})


class Formula:
    """3 + a + 2 b + a b c, where what is missing counts as 0."""

    def predict(self, cohort: fdx.Cohort) -> Mapping[str, Prediction]:
        a, b, c = (values(cohort, name) for name in NAMES)
        return {"dose": NumberPrediction(cohort.ids, 3 + a + 2 * b + a * b * c)}


def values(cohort: fdx.Cohort, name: str) -> np.ndarray:
    found = np.zeros(len(cohort))
    place, rows = cohort.modalities[name].locate(np.arange(len(cohort)))
    found[place] = cohort.modalities[name].data.numeric[rows, 0]
    return found


def by_definition(worth: np.ndarray, players: int) -> np.ndarray:
    """The mean over all orders of arrival of what each player adds to those before."""
    total = np.zeros(players)
    for order in permutations(range(players)):
        coalition = 0
        for player in order:
            total[player] += worth[coalition | 1 << player] - worth[coalition]
            coalition |= 1 << player
    return total / factorial(players)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_weights_give_the_mean_over_all_orders(players: int) -> None:
    worth = np.random.default_rng(players).normal(size=1 << players)
    np.testing.assert_allclose(shapley_weights(players) @ worth, by_definition(worth, players), atol=1e-12)


def test_patients_values_are_those_worked_out_by_hand() -> None:
    patients = cohort()
    found = Coalitions.of(Formula(), patients).shapley("dose")
    a, b, c = (values(patients, name) for name in NAMES)
    shared = a * b * c / 3
    np.testing.assert_allclose(found, np.stack([a + shared, 2 * b + shared, shared], axis=1), atol=1e-12)
    np.testing.assert_allclose(found[~present(patients)], 0, atol=1e-12)


def test_a_network_is_asked_of_exactly_what_is_left() -> None:
    patients = cohort(24)
    training = fdx.Training(epochs=1, batch_size=8, validation=0)
    model = fdx.FusionModel(dim=8, training=training).fit(patients)
    found = Coalitions.of(model, patients)
    for coalition in range(8):
        alone = [name in found.names(coalition) for name in NAMES]
        masked = model.predict(keep(patients, present(patients) & alone))["dose"]
        np.testing.assert_allclose(found.said("dose", coalition).value, masked.value, atol=1e-6)
    whole, nothing = (found.said("dose", c).value for c in (None, 0))
    assert np.ptp(nothing) == 0
    np.testing.assert_allclose(found.shapley("dose").sum(axis=1), whole - nothing, atol=1e-6)
    assert found.number("a", "c") == 5
    mixed = found.said("dose", np.resize([0, 7], 24)).value
    np.testing.assert_array_equal(mixed, np.where(np.arange(24) % 2, whole, nothing))


class Partial(Formula):
    def predict(self, cohort: fdx.Cohort) -> Mapping[str, Prediction]:
        return {"dose": super().predict(cohort)["dose"].take(np.arange(3))}


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(DataError, match="9 patients without a prediction"):
        Coalitions.of(Partial(), cohort())
    with pytest.raises(DataError, match="empty"):
        Coalitions.of(Formula(), cohort()[:0])
    wide = pd.DataFrame({"patient_id": ["P1", "P2"], **{f"m{j}": [0.0, 1.0] for j in range(11)}})
    many = fdx.Cohort.from_frame(wide, modalities={f"m{j}": fdx.Table(numeric=(f"m{j}",)) for j in range(11)})
    with pytest.raises(ConfigError, match="11 modalities have 2048 subsets"):
        Coalitions.of(Formula(), many)
