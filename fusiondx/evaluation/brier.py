"""The Brier score, alone and against the prevalence, with intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import effective_wilson, quantile_by_tails

Floats = npt.NDArray[np.float64]
PRIOR = 10
"""Patients for whom the variance that the predictions themselves expect is mixed in."""


def estimate_brier(probability: npt.ArrayLike, positive: npt.ArrayLike) -> Outcome:
    """Mean squared distance of probability and outcome (Brier 1950): 0 is best, 0.25 is a coin.

    Its 95 % interval is Wilson's for an effective number of patients: that at which a share would vary as the score
    does. To its variance over patients is added, for `PRIOR` of them, the one that the predictions expect, so that
    errors too rare to have been seen count; Student's quantile is for few patients with large errors. `Undefined`
    without patients; raises `DataError` for what is no probability or label.

    >>> round(evaluation.estimate_brier([0.9, 0.2, 0.6], [1, 0, 1]).value, 3)  # the mean of 0.01, 0.04 and 0.16
    0.07
    """
    probability, positive = checking.forecast(probability, positive)
    n, events = len(positive), int(positive.sum())
    if not n:
        return Undefined("brier", "no patients", 0, 0)
    terms = (probability - positive) ** 2
    value = float(terms.mean())
    variance = _variance(terms, (1 - probability) ** 2, probability**2, probability) / n
    low, high = effective_wilson(value, variance, n, z=quantile_by_tails(terms))
    method = "95 % Wilson interval for an effective number of patients"
    return Estimate("brier", value, low, high, n, events, method, convention="of the positive class, 0 to 1")


def estimate_brier_skill(probability: npt.ArrayLike, positive: npt.ArrayLike) -> Outcome:
    """Share of the Brier score of the prevalence that the prediction takes away: 1 is best, 0 or less no use.

    The prevalence is that of the patients judged. The interval is Student's for log(1 - skill), by influence
    functions, with variance and quantile as in `estimate_brier`. `Undefined` with one class; errors as there.

    >>> round(evaluation.estimate_brier_skill([0.9, 0.2, 0.6, 0.1], [1, 0, 1, 0]).value, 3)
    0.78
    """
    probability, positive = checking.forecast(probability, positive)
    n, events = len(positive), int(positive.sum())
    if reason := checking.lacking(positive):
        return Undefined("brier_skill", reason, n, events)
    terms, prevalence = (probability - positive) ** 2, events / n
    mean, null = float(terms.mean()), prevalence * (1 - prevalence)
    convention = "against the prevalence of the patients judged"
    if not mean:
        return Undefined("brier_skill", "the predictions are perfect, so chance has no measure", n, events)

    def influence(outcome: Floats | float) -> Floats:
        said = (probability - outcome) ** 2
        return np.asarray(said / mean - 1 - (1 - 2 * prevalence) * (outcome - prevalence) / null)

    each = influence(positive.astype(np.float64))
    variance = _variance(each, influence(1.0), influence(0.0), probability)
    factor = float(np.exp(min(quantile_by_tails(each) * np.sqrt(variance / n), 700.0)))
    value = 1 - mean / null
    low, high = 1 - mean / null * factor, 1 - mean / null / factor
    return Estimate("brier_skill", value, low, high, n, events, "95 % interval on the log scale", convention=convention)


def _variance(terms: Floats, if_positive: Floats, if_negative: Floats, probability: Floats) -> float:
    """Of a patient's term, from the outcomes seen and, for `PRIOR` patients, from those that predictions expect."""
    n = len(terms)
    mean = probability * if_positive + (1 - probability) * if_negative
    square = probability * if_positive**2 + (1 - probability) * if_negative**2
    expected = float(square.mean() - mean.mean() ** 2)
    seen = float(((terms - terms.mean()) ** 2).sum()) / max(n - 1, 1)
    return (n * seen + PRIOR * expected) / (n + PRIOR)
