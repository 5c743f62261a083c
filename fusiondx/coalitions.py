"""Coalitions: what a model says of a patient from every subset of the modalities, each asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.data.missingness import keep, present
from fusiondx.errors import ConfigError, DataError

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

MOST = 10
"""Modalities: of each further one there are twice as many coalitions."""


class Predictor(Protocol):
    """A fitted model, ours or anybody's."""

    def predict(self, cohort: Cohort) -> Mapping[str, Prediction]:
        """A prediction by target name, for every patient, whatever modalities they lack."""


@dataclass(frozen=True)
class Coalitions:
    """The predictions of one model for the same patients from every subset, or coalition, of the modalities.

    Coalitions are numbered: number c holds modality j where bit j of c is 1, so 0 holds none and the last one all.

    >>> said = fdx.Coalitions.of(model, test)
    >>> [said.names(number) for number in range(3)]
    [(), ('clinical',), ('omics',)]
    >>> said.shapley("survival").shape  # (patients, modalities)
    (23, 3)
    """

    modalities: tuple[str, ...]
    ids: npt.NDArray[Any]
    has: Ints
    """The coalition of what each patient has. Shape ``(patients,)``."""
    predictions: Mapping[str, tuple[Prediction, ...]]
    """By target, one for each coalition."""

    @classmethod
    def of(cls, model: Predictor, cohort: Cohort) -> Self:
        """Ask a fitted model about every patient once for each subset of the cohort's modalities, the others masked.

        Nothing is trained again. Raises `ConfigError` for more than 10 modalities, `DataError` where the model does not
        answer for every patient, else as its `predict`.
        """
        names = tuple(cohort.modalities)
        if len(names) > MOST:
            raise ConfigError(
                f"{len(names)} modalities have {1 << len(names)} subsets, too many to ask about. Leave some out with "
                "cohort.select(modalities=...)."
            )
        if not len(cohort):
            raise DataError("There are no patients to ask about: the cohort is empty.")
        has = present(cohort)
        bits = 1 << np.arange(len(names))
        found = [model.predict(keep(cohort, has & ((number & bits) > 0))) for number in range(1 << len(names))]
        predictions = {target: tuple(said[target].of(cohort.ids) for said in found) for target in found[0]}
        return cls(names, cohort.ids, has @ bits, predictions)

    def number(self, *modalities: str) -> int:
        """The coalition of these modalities."""
        return sum(1 << self.modalities.index(name) for name in modalities)

    def names(self, coalition: int) -> tuple[str, ...]:
        """The modalities of a coalition."""
        return tuple(name for bit, name in enumerate(self.modalities) if coalition >> bit & 1)

    def said(self, target: str, coalition: int | Ints | None = None) -> Prediction:
        """What is said from a coalition, or from one of each patient's own, ``(patients,)``; left out: from everything.

        What a patient lacks is in no coalition of theirs.
        """
        every = self.predictions[target]
        chosen = self.has if coalition is None else np.asarray(coalition) & self.has
        rows = np.arange(len(self.ids))
        fields = {name: np.stack([getattr(p, name) for p in every])[chosen, rows] for name in every[0].per_patient}
        return replace(every[0], **fields)

    def shapley(self, target: str) -> Floats:
        """What each modality adds to each patient's prediction: exact Shapley values (Shapley 1953) over coalitions.

        Of the probability of every class or label, shape ``(patients, modalities, classes)``; of the risk of a
        prognosis or of a number, ``(patients, modalities)``. Over modalities they add up to the prediction less what
        is said of a patient of whom nothing is known. A modality that a patient lacks adds 0.
        """
        said = [self.said(target, coalition) for coalition in range(1 << len(self.modalities))]
        answers = np.stack([getattr(prediction, prediction.per_patient[0]) for prediction in said])
        return np.asarray(np.moveaxis(np.tensordot(shapley_weights(len(self.modalities)), answers, axes=1), 0, 1))


def shapley_weights(players: int) -> Floats:
    """The matrix that turns the worth of every coalition, ``(2 ** players,)``, into Shapley values, ``(players,)``."""
    numbers = np.arange(1 << players)
    size = np.array([number.bit_count() for number in range(1 << players)])
    weights = np.zeros((players, 1 << players))
    for player in range(players):
        with_it = numbers >> player & 1 == 1
        others = size - with_it
        share = 1 / (players * np.array([comb(players - 1, int(n)) if n < players else 1 for n in others]))
        weights[player] = np.where(with_it, share, -share)
    return weights
