"""A threshold is chosen on some patients and judged on others.

Choose it on training patients, on predictions made for them by models that did not see them, never on those judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fusiondx.errors import DataError, counted
from fusiondx.evaluation import checking
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import proportion, ratio_interval

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """A score from which on patients count as positive, and how it came about.

    >>> evaluation.choose_threshold([0.9, 0.8, 0.4, 0.2], [1, 1, 0, 0], evaluation.Youden())
    Threshold(value=0.8, how='most sensitivity + specificity, chosen on 4 training patients, 2 of them positive')
    """

    value: float
    how: str
    """In words, with the patients it was chosen on."""


@dataclass(frozen=True)
class Youden:
    """Most sensitivity + specificity (Youden 1950).

    >>> evaluation.choose_threshold([0.9, 0.8, 0.4, 0.2], [1, 1, 0, 0], evaluation.Youden()).value
    0.8
    """

    def worth(self, sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
        return sensitivity + specificity

    def __str__(self) -> str:
        return "most sensitivity + specificity"


@dataclass(frozen=True)
class SensitivityAtLeast:
    """Most specificity among thresholds whose sensitivity reaches `least`.

    >>> evaluation.choose_threshold([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0], evaluation.SensitivityAtLeast(0.9)).value
    0.4
    """

    least: float

    def worth(self, sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
        return np.where(sensitivity >= checking.share(self.least, "least") - 1e-12, specificity, -np.inf)

    def __str__(self) -> str:
        return f"sensitivity of at least {self.least:g}"


@dataclass(frozen=True)
class SpecificityAtLeast:
    """Most sensitivity among thresholds whose specificity reaches `least`.

    >>> evaluation.choose_threshold([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0], evaluation.SpecificityAtLeast(0.9)).value
    0.9
    """

    least: float

    def worth(self, sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
        return np.where(specificity >= checking.share(self.least, "least") - 1e-12, sensitivity, -np.inf)

    def __str__(self) -> str:
        return f"specificity of at least {self.least:g}"


@dataclass(frozen=True)
class MostNetBenefit:
    """Most net benefit for whoever would treat from a risk of `probability` on (Vickers & Elkin 2006).

    For calibrated probabilities that is `probability` itself; this finds the equivalent on any score.

    >>> cut = evaluation.choose_threshold(probability, positive, evaluation.MostNetBenefit(probability=0.3))
    >>> round(cut.value, 2)
    0.23
    """

    probability: float

    def worth(self, sensitivity: Floats, specificity: Floats, prevalence: float) -> Floats:
        odds = checking.share(self.probability, "probability") / (1 - self.probability)
        return sensitivity * prevalence - odds * (1 - specificity) * (1 - prevalence)

    def __str__(self) -> str:
        return f"most net benefit at a threshold probability of {self.probability:g}"


Rule = Youden | SensitivityAtLeast | SpecificityAtLeast | MostNetBenefit
"""How to choose a threshold."""


def choose_threshold(score: npt.ArrayLike, positive: npt.ArrayLike, rule: Rule) -> Threshold:
    """The threshold among the scores of these, training, patients, or just above them all, that serves `rule` best.

    Of equals the highest. Just above all scores nobody is called positive: the one threshold that keeps a promise of
    specificity where the highest score is that of negative patients.

    Raises `DataError` with one class, for scores that are not finite, labels that are not 0 or 1, and shares outside
    0 to 1.

    >>> cut = evaluation.choose_threshold(probability[:200], positive[:200], evaluation.SensitivityAtLeast(0.9))
    >>> cut.how
    'sensitivity of at least 0.9, chosen on 200 training patients, 71 of them positive'
    """
    score, positive = checking.scored(score, positive)
    if reason := checking.lacking(positive):
        raise DataError(f"No threshold can be chosen: {reason}. Give training patients of both classes.")
    cuts, sensitivity, specificity = rates(score, positive)
    best = int(np.argmax(rule.worth(sensitivity, specificity, float(positive.mean()))))
    among = f"{counted(len(score), 'training patient')}, {int(positive.sum())} of them positive"
    return Threshold(float(cuts[best]), f"{rule}, chosen on {among}")


def rates(score: Floats, positive: Bools) -> tuple[Floats, Floats, Floats]:
    """A threshold above all scores and each distinct one, descending, with sensitivity and specificity at each."""
    cuts, place = np.unique(score, return_inverse=True)
    cuts = np.append(cuts, np.nextafter(cuts[-1], np.inf))
    up = np.bincount(place, weights=positive, minlength=len(cuts))[::-1]
    down = np.bincount(place, weights=~positive, minlength=len(cuts))[::-1]
    return cuts[::-1], np.cumsum(up) / up.sum(), 1 - np.cumsum(down) / down.sum()


@dataclass(frozen=True)
class TwoByTwo:
    """Patients by what they are and what they are called at a threshold."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @classmethod
    def at(cls, score: Floats, positive: Bools, threshold: float) -> TwoByTwo:
        called = score >= threshold
        hits, alarms = int((called & positive).sum()), int((called & ~positive).sum())
        return cls(hits, alarms, int(positive.sum()) - hits, int((~positive).sum()) - alarms)

    @property
    def positives(self) -> int:
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        return self.false_positive + self.true_negative


def judge_threshold(
    score: npt.ArrayLike,
    positive: npt.ArrayLike,
    threshold: float | Threshold,
    *,
    prevalence: float | None = None,
) -> tuple[Outcome, ...]:
    """Sensitivity, specificity, PPV, NPV and both likelihood ratios of held-out patients at a threshold fixed before.

    A patient is called positive when the score reaches it. Shares have Wilson's interval. PPV and NPV are those at the
    patients' own prevalence or, where `prevalence` is given, those that sensitivity and specificity give there (Bayes),
    with the interval of the likelihood ratio they come from. What no patient can show is `Undefined`.

    Raises `DataError` for scores or a threshold that are not finite, labels that are not 0 or 1, and a prevalence
    outside 0 to 1.

    >>> for found in evaluation.judge_threshold([0.9, 0.8, 0.4, 0.2], [1, 0, 1, 0], 0.5)[:2]:
    ...     print(found.metric, found.value)
    sensitivity 0.5
    specificity 0.5
    """
    score, positive = checking.scored(score, positive)
    cut = threshold if isinstance(threshold, Threshold) else Threshold(float(threshold), "given")
    if not np.isfinite(cut.value):
        raise DataError(f"'threshold' is {cut.value:g}. Give the score from which a patient counts as positive.")
    table, events = TwoByTwo.at(score, positive, cut.value), int(positive.sum())
    outcomes = (*_within_classes(table), *_likelihood_ratios(table))
    if prevalence is None:
        outcomes += _predictive_values(table)
    else:
        outcomes += _predictive_values_at(table, checking.share(prevalence, "prevalence"))
    return tuple(_placed(outcome, cut, events) for outcome in outcomes)


def _within_classes(table: TwoByTwo) -> tuple[Outcome, ...]:
    return (
        proportion("sensitivity", table.true_positive, table.positives, lacks="no positive patients"),
        proportion("specificity", table.true_negative, table.negatives, lacks="no negative patients"),
    )


def _predictive_values(table: TwoByTwo) -> tuple[Outcome, ...]:
    called, cleared = table.true_positive + table.false_positive, table.true_negative + table.false_negative
    return (
        proportion("ppv", table.true_positive, called, lacks="no patient is called positive"),
        proportion("npv", table.true_negative, cleared, lacks="no patient is called negative"),
    )


def _likelihood_ratios(table: TwoByTwo) -> tuple[Outcome, ...]:
    """How much a call multiplies the odds of being positive (Simel et al. 1991)."""
    found, missed = table.true_positive, table.false_negative
    alarms, spared = table.false_positive, table.true_negative
    return (
        _likelihood_ratio(
            "positive_likelihood_ratio", (found, alarms), table, "no negative patient is called positive"
        ),
        _likelihood_ratio(
            "negative_likelihood_ratio", (missed, spared), table, "no negative patient is called negative"
        ),
    )


def _likelihood_ratio(metric: str, hits: tuple[int, int], table: TwoByTwo, infinite: str) -> Outcome:
    n = table.positives, table.negatives
    if 0 in n:
        return Undefined(metric, "no positive patients" if not n[0] else "no negative patients", sum(n), None)
    if not hits[1]:
        return Undefined(metric, infinite, sum(n), None)
    low, high = ratio_interval(hits, n)
    value = hits[0] / n[0] / (hits[1] / n[1])
    return Estimate(metric, value, low, high, sum(n), None, "95 % interval from Wilson's of both shares (MOVER-R)")


def _predictive_values_at(table: TwoByTwo, prevalence: float) -> tuple[Outcome, ...]:
    odds = prevalence / (1 - prevalence)
    called, cleared = (table.true_positive, table.false_positive), (table.false_negative, table.true_negative)
    return (
        _predictive_value("ppv", called, table, odds, "no patient is called positive", prevalence),
        _predictive_value("npv", cleared, table, odds, "no patient is called negative", prevalence),
    )


def _predictive_value(
    metric: str, hits: tuple[int, int], table: TwoByTwo, odds: float, nobody: str, prevalence: float
) -> Outcome:
    """PPV or NPV from the likelihood ratio `hits` stand for, which it rises or falls with."""
    n = table.positives, table.negatives
    reason = "no positive patients" if not n[0] else "no negative patients" if not n[1] else nobody
    if 0 in n or not sum(hits):
        return Undefined(metric, reason, sum(n), None)
    shares = np.array([hits[0] / n[0] * odds, hits[1] / n[1]])
    risk = float(shares[0] / shares.sum())
    ends = [_risk(ratio * odds) for ratio in ratio_interval(hits, n)]
    value, low, high = (risk, *ends) if metric == "ppv" else (1 - risk, *(1 - end for end in reversed(ends)))
    method = "95 % interval from Wilson's of sensitivity and specificity (MOVER-R)"
    return Estimate(metric, value, low, high, sum(n), None, method, convention=f"at a prevalence of {prevalence:g}")


def _risk(odds: float) -> float:
    return 1.0 if np.isinf(odds) else odds / (1 + odds)


def _placed(outcome: Outcome, cut: Threshold, events: int) -> Outcome:
    """With the threshold it belongs to."""
    if isinstance(outcome, Undefined):
        return replace(outcome, events=events)
    how = "; ".join(part for part in (outcome.convention, f"threshold {cut.how}") if part)
    return replace(outcome, events=events, threshold=cut.value, convention=how)
