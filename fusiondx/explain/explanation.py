"""Explanation: what drove the predictions for some patients, as tables, heat maps and, on request, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.errors import RunError
from fusiondx.explain.card import Card, card
from fusiondx.explain.heat import HeatMaps
from fusiondx.explain.overview import overview
from fusiondx.explain.question import Question
from fusiondx.reporting.portrait import Picture
from fusiondx.segmentation import Segmentation

FRAMES = ("values", "modalities", "features", "pathways", "completeness", "attention", "neighbours")


@dataclass(frozen=True, eq=False)
class Explanation:
    """What `FusionModel.explain` found. Tables are long: a row per patient and part.

    Every contribution and attribution is in the unit of the number that is explained: of probability, unless another
    scale was asked for.

    >>> explanation = model.explain(test[:3], target="diagnosis", label="malignant")
    >>> isinstance(explanation, fdx.Explanation)
    True
    >>> explanation.modalities.columns.tolist()
    ['patient_id', 'modality', 'present', 'contribution']
    >>> page = explanation.card(test.ids[0]).save("cards")
    """

    question: Question
    cohort: Cohort
    """The patients."""
    prediction: Prediction
    values: pd.DataFrame
    """``patient_id, outcome, value, with_nothing``: the number that is explained, and the same of a patient of whom
    nothing is known."""
    modalities: pd.DataFrame
    """``patient_id, modality, present, contribution``: exact Shapley values, which add up to `value` less
    `with_nothing`; 0 for a modality that a patient lacks."""
    features: pd.DataFrame
    """``patient_id, modality, column, value, attribution``: integrated gradients of the columns of tables."""
    pathways: pd.DataFrame
    """``patient_id, modality, pathway, attribution``: the same, gene set by gene set, where an encoder has such."""
    completeness: pd.DataFrame
    """``patient_id, encoder, difference, gap``: what all columns an encoder reads did together, and by how much the
    attributions fail to add up to that."""
    attention: pd.DataFrame
    """``patient_id, modality, source, part, weight``: what encoders and fusions say of where they looked."""
    maps: Mapping[str, HeatMaps]
    """Of the images, by modality."""
    segmentations: Mapping[str, Segmentation]
    """Tumours the model drew, by modality whose masks it learnt."""
    neighbours: pd.DataFrame
    """``patient_id, rank, neighbour, distance``: the nearest training patients, by the model's own embedding."""
    reference: Cohort | None
    """The training patients, or those named in their place."""
    reference_prediction: Prediction | None
    """What the model says of them."""
    notes: tuple[str, ...] = ()
    """What could not be explained, and why."""

    def card(self, patient_id: str) -> Card:
        """Everything about one patient on a page to look at. Raises `DataError` for somebody who is not among them."""
        return card(self, patient_id)

    def plot(self) -> Picture:
        """What mattered over all patients: mean sizes of what modalities added, of the columns' attributions, and of
        the gene sets'."""
        return overview(self)

    def save(self, folder: str | Path) -> Path:
        """Write every table that is not empty as CSV. Raises `RunError` where `folder` cannot be written."""
        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
            for name in FRAMES:
                frame = getattr(self, name)
                if len(frame):
                    frame.to_csv(place / f"{name}.csv", index=False)
        except OSError as error:
            raise RunError(f"The tables could not be written to {place}: {error.strerror or error}.") from error
        return place
