"""Is a prediction worth acting on? Net benefit and decision curves (Vickers & Elkin 2006)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.errors import DataError
from fusiondx.evaluation import checking
from fusiondx.evaluation.delong import from_influence
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.evaluation.proportions import wilson

Floats = npt.NDArray[np.float64]
THRESHOLDS = np.round(np.arange(0.01, 1.0, 0.01), 2)
CONVENTION = "patients with a probability of at least the threshold are treated; in true positives per patient"


def net_benefit_frame(
    probability: npt.ArrayLike, positive: npt.ArrayLike, thresholds: npt.ArrayLike = THRESHOLDS
) -> pd.DataFrame:
    """A decision curve: one row per threshold probability.

    Columns: `threshold`; `net_benefit` of the model, with its 95 % interval `low` and `high`; `treat_all`, and
    `treat_none`, which is 0; `gain` over the better of the two, with `gain_low` and `gain_high`. Say the range of
    thresholds before looking. Empty where there are no
    patients.

    Raises `DataError` for what is no probability or label, and for thresholds outside 0 to 1.

    >>> curve = evaluation.net_benefit_frame(probability, positive, [0.1, 0.3])
    >>> curve[["threshold", "net_benefit", "treat_all"]].round(3)
       threshold  net_benefit  treat_all
    0        0.1        0.304      0.292
    1        0.3        0.196      0.089
    """
    probability, positive = checking.forecast(probability, positive)
    at = _thresholds(thresholds)
    columns = ("threshold", "net_benefit", "low", "high", "treat_all", "treat_none", "gain", "gain_low", "gain_high")
    if not len(probability):
        return pd.DataFrame({name: np.empty(0) for name in columns})
    true, false = _treated(probability, positive, at)
    odds, n, events, others = at / (1 - at), len(positive), float(positive.sum()), float((~positive).sum())
    benefit = np.stack(_mean(true, false, odds, n))
    every = (events - odds * others) / n
    # Against treating all, only patients left untreated differ: each event missed costs 1, each other spares the odds
    less = np.stack(_mean(events - true, others - false, odds, n))
    gain = np.where(every > 0, -less[[0, 2, 1]], benefit)
    return pd.DataFrame(dict(zip(columns, (at, *benefit, every, np.zeros(len(at)), *gain), strict=True)))


def estimate_net_benefit(probability: npt.ArrayLike, positive: npt.ArrayLike, threshold: float) -> Outcome:
    """Net benefit at one threshold probability, with its interval; `Undefined` without patients. Errors as above.

    >>> found = evaluation.estimate_net_benefit([0.9, 0.8, 0.4, 0.1], [1, 0, 1, 0], threshold=0.2)
    >>> round(found.value, 4)  # (2 true positives - 1 false one x 0.2 / 0.8) / 4 patients
    0.4375
    """
    probability, positive = checking.forecast(probability, positive)
    at, n, events = _thresholds([threshold]), len(positive), int(positive.sum())
    if not n:
        return Undefined("net_benefit", "no patients", 0, 0)
    value, low, high = np.stack(_mean(*_treated(probability, positive, at), at / (1 - at), n))[:, 0].tolist()
    method, of = "95 % interval from Wilson's of true and false positives (MOVER)", float(at[0])
    return Estimate("net_benefit", value, low, high, n, events, method, threshold=of, convention=CONVENTION)


def net_benefit_difference(
    probability_a: npt.ArrayLike, probability_b: npt.ArrayLike, positive: npt.ArrayLike, threshold: float
) -> Outcome:
    """Net benefit of a minus that of b on the same patients, with a paired 95 % interval and p-value.

    >>> found = evaluation.net_benefit_difference(probability, 1 - probability, positive, threshold=0.3)
    >>> found.value > 0
    True
    """
    probability_a, positive = checking.forecast(probability_a, positive)
    probability_b, _ = checking.forecast(probability_b, positive)
    n, events = len(positive), int(positive.sum())
    if not n:
        return Undefined("net_benefit", "no patients", 0, 0)
    at = float(_thresholds([threshold])[0])
    worth = np.where(positive, 1.0, -at / (1 - at))
    terms = worth * ((probability_a >= at).astype(float) - (probability_b >= at))
    centred = (terms - terms.mean()) / np.sqrt(n * max(n - 1, 1))
    method = "paired difference; 95 % normal interval and p-value of a mean over patients"
    return from_influence("net_benefit", float(terms.mean()), centred, n, events, method, CONVENTION)


def _thresholds(thresholds: npt.ArrayLike) -> Floats:
    at = np.atleast_1d(np.asarray(thresholds, dtype=np.float64))
    if not ((at > 0) & (at < 1)).all():
        raise DataError("A threshold probability is not between 0 and 1. Give those at which you would treat.")
    return at


def _treated(probability: Floats, positive: npt.NDArray[np.bool_], at: Floats) -> tuple[Floats, Floats]:
    """Positive and negative patients treated at each threshold."""
    treated = [len(g) - np.searchsorted(np.sort(g), at) for g in (probability[positive], probability[~positive])]
    return treated[0].astype(np.float64), treated[1].astype(np.float64)


def _mean(true: Floats, false: Floats, odds: Floats, n: int) -> tuple[Floats, Floats, Floats]:
    """Net benefit of counts among `n` patients with both ends of its interval.

    From Wilson's intervals of both shares, which exclude each other (MOVER: Zou & Donner 2008), so that it has a width
    where nobody is treated.
    """
    gain, harm = true / n, false / n
    (gain_low, gain_high), (harm_low, harm_high) = wilson(true, n), wilson(false, n)
    whole = (1 - gain) * (1 - harm)
    together = -np.sqrt(np.divide(gain * harm, whole, out=np.zeros(len(gain)), where=whole > 0))
    mean = gain - odds * harm
    down, up = (
        np.sqrt(a**2 + b**2 - 2 * together * a * b)
        for a, b in ((gain - gain_low, odds * (harm_high - harm)), (gain_high - gain, odds * (harm - harm_low)))
    )
    return mean, mean - down, mean + up
