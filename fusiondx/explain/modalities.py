"""Modalities: what each of them adds to the number."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fusiondx.coalitions import Coalitions, Predictor, shapley_weights
from fusiondx.core.predictions import Prediction
from fusiondx.data.cohort import Cohort
from fusiondx.explain.question import Question


def by_modality(
    model: Predictor, cohort: Cohort, question: Question, said: Prediction
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The explained number of each patient, with and without everything known of them; and what each modality adds.

    Exact Shapley values (Shapley 1953) over all subsets of the modalities a patient has, the others taken away; no
    training, no approximation. They add up to the difference between the two numbers. A modality that a patient lacks
    adds 0.
    """
    found = question.outcomes(said)
    choice = question.choice(found)
    coalitions = Coalitions.of(model, cohort)
    names, rows = coalitions.modalities, np.arange(len(choice))
    from_each = [coalitions.said(question.target, number) for number in range(1 << len(names))]
    worth = np.stack([question.outcomes(each).values[rows, choice] for each in from_each])
    present = np.stack([cohort.modalities[name].present for name in names])
    added = np.where(present, shapley_weights(len(names)) @ worth, 0.0)
    ids, outcome = cohort.ids, np.asarray(found.names, object)[choice]
    values = pd.DataFrame({"patient_id": ids, "outcome": outcome, "value": worth[-1], "with_nothing": worth[0]})
    long = {
        "patient_id": np.repeat(ids, len(names)),
        "modality": np.tile(np.asarray(names, object), len(ids)),
        "present": present.T.ravel(),
        "contribution": added.T.ravel(),
    }
    return values, pd.DataFrame(long)
