"""Case: a fitted model before some patients, and the one number about each that is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.components import Stratified
from fusiondx.core.predictions import Prediction
from fusiondx.data.batches import Batches
from fusiondx.data.cohort import Cohort
from fusiondx.explain.probe import Probe, Reading
from fusiondx.explain.question import Question

if TYPE_CHECKING:
    from fusiondx.model import FusionModel

Array = npt.NDArray[Any]
Reader = Callable[[Cohort], Batches]

TOGETHER = 16
"""Patients explained at once: integrated gradients look at each of them at many points."""


@dataclass(frozen=True)
class Case:
    """A fitted model, patients, and the question."""

    model: FusionModel
    cohort: Cohort
    read: Reader
    """Makes a cohort ready for the model's networks."""
    question: Question
    said: Prediction

    @property
    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """The modalities that each encoder reads."""
        return self.model.networks_[0].reads

    def probes(self) -> Iterator[tuple[Probe, Array]]:
        """The networks before a few patients at a time, and where these stand in the cohort."""
        whole, choice = self.read(self.cohort), self.question.choice(self.question.outcomes(self.said))
        head = dict(self.model.networks_[0].named_heads())[self.question.target]
        groups = head.stratum_column if isinstance(head, Stratified) else None
        strata = np.full(len(self.cohort), "", object) if groups is None else self.cohort.categories(groups)
        for batch in Batches(whole.prepared, whole.patients, TOGETHER):
            at = pd.Index(self.cohort.ids).get_indexer(pd.Index(batch.ids))
            reading = Reading(head, self.question, self.cohort.ids[at], strata[at], choice[at])
            yield Probe.of(self.model.networks_, batch, reading), at
