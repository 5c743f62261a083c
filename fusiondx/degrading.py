"""Degradation: how much worse a model gets as patients have less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fusiondx.coalitions import Coalitions, Predictor
from fusiondx.core.targets import TargetValues
from fusiondx.data.cohort import Cohort
from fusiondx.data.missingness import MCAR, Mechanism, ampute, present
from fusiondx.errors import ConfigError
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.metrics import primary_metric
from fusiondx.evaluation.score import Part, contrasts, difference, score

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
NOTHING = "nothing"
EVERY = "every modality"


@dataclass(frozen=True)
class Row:
    """The metric of one target for some patients with some of what they have."""

    target: str
    what: str
    """The modalities kept, or the one that patients lose."""
    outcome: Outcome
    rate: float | None = None
    """The share of patients who lose it."""
    change: Outcome | None = None
    """Less what the same patients reach with all they have."""


@dataclass(frozen=True)
class Degradation:
    """The primary metric of every target from each pattern of modalities, and along missing rates."""

    patterns: tuple[Row, ...]
    rates: tuple[Row, ...]
    mechanism: str
    """By which modalities go missing along the curve."""

    def frame(self) -> pd.DataFrame:
        """One row per target and pattern: the metric of the patients who have at least these modalities, judged from
        these alone, and the paired `change` from what the same patients reach with all they have. 95 % intervals."""
        rows = [{"target": r.target, "pattern": r.what, **told(r.outcome), **changed(r.change)} for r in self.patterns]
        return pd.DataFrame(rows)

    def curve(self) -> pd.DataFrame:
        """One row per target, modality ("every modality" for all at once) and missing rate: the metric of all
        patients, mean over draws. 95 % intervals; of the patients, not of the draws."""
        rows = [{"target": r.target, "missing": r.what, "rate": r.rate, **told(r.outcome)} for r in self.rates]
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        parts = {
            "From each pattern, patients who have at least that (change: less what they reach with all they have)": (
                self.frame()
            ),
            f"Along the missing rate ({self.mechanism})": self.curve(),
        }
        return "\n\n".join(f"{title}\n{written(frame)}" for title, frame in parts.items() if len(frame))


def degradation(
    model: Predictor,
    cohort: Cohort,
    *,
    mechanism: Mechanism | None = None,
    rates: Sequence[float] = RATES,
    draws: int = 5,
    replicates: int = 1000,
    seed: int = 0,
) -> Degradation:
    """Mask modalities of held-out patients and judge a fitted model again; nothing is trained.

    Of M modalities, each of the 2^M - 1 patterns is judged on the patients who have at least that; and along
    missing `rates`, all patients are judged after amputation by `mechanism` (its own rate does not count; left out:
    completely at random), of all modalities at once and of each alone, `draws` times. A patient may then be
    left with nothing. The model is asked once for each of 2^M subsets.

    Raises `ConfigError` for rates outside 0..1 or fewer than one draw, else as `Coalitions.of` and `score`.

    >>> found = fdx.degradation(model, test, rates=(0.0, 0.5), draws=1, replicates=20)
    >>> found.frame()[["target", "pattern"]].head(3)
         target               pattern
    0  survival  clinical+omics+image
    1  survival        clinical+omics
    2  survival        clinical+image
    """
    if draws < 1 or not all(0 <= rate <= 1 for rate in rates):
        raise ConfigError(f"draws={draws}, rates={list(rates)}: give one draw or more, and rates from 0 to 1.")
    how = mechanism if mechanism is not None else MCAR(0.0)
    found = Coalitions.of(model, cohort)
    judged = [(target, cohort.targets[target]) for target in found.predictions if target in cohort.targets]
    thinned = amputations(cohort, how, rates, draws, seed)
    return Degradation(
        tuple(row for target, truth in judged for row in by_pattern(found, target, truth, replicates, seed)),
        tuple(along(found, target, truth, *lot, replicates, seed) for target, truth in judged for lot in thinned),
        how.kind.upper(),
    )


def by_pattern(found: Coalitions, target: str, truth: TargetValues, replicates: int, seed: int) -> Iterator[Row]:
    """Every pattern but nothing, the largest first."""
    metric = primary_metric(truth)
    for pattern in sorted(range(1, 1 << len(found.modalities)), key=lambda c: (-c.bit_count(), c)):
        those = replace(truth, known=truth.known & (found.has & pattern == pattern))
        masked, whole = ([(found.said(target, c), those)] for c in (pattern, found.has))
        judged = score(masked, replicates=replicates, seed=seed)
        outcome = next(one for one in judged if one.metric == metric)  # as every report has it
        change = difference(masked, whole, metric, replicates=replicates, seed=seed)
        yield Row(target, "+".join(found.names(pattern)), outcome, change=change)


def amputations(
    cohort: Cohort, how: Mechanism, rates: Sequence[float], draws: int, seed: int
) -> list[tuple[str, float, list[np.ndarray]]]:
    """What goes missing, how often, and the coalition each patient is left with in each draw."""
    names = list(cohort.modalities)
    bits = 1 << np.arange(len(names))
    lots = {EVERY: names} if len(names) == 1 else {EVERY: names, **{name: [name] for name in names}}
    return [
        (
            title,
            float(rate),
            [
                present(ampute(cohort, how.replace(rate=dict.fromkeys(some, rate)), seed=seed + n, keep_last=False))
                @ bits
                for n in range(draws if 0 < rate < 1 else 1)
            ],
        )
        for title, some in lots.items()
        for rate in rates
    ]


def along(
    found: Coalitions,
    target: str,
    truth: TargetValues,
    what: str,
    rate: float,
    left: Sequence[np.ndarray],
    replicates: int,
    seed: int,
) -> Row:
    """The metric of all patients at one missing rate, mean over draws."""
    rivals: list[list[Part]] = [[(found.said(target, coalition), truth)] for coalition in left]
    mean = np.full((1, len(rivals)), 1 / len(rivals))
    return Row(target, what, contrasts(rivals, mean, primary_metric(truth), replicates=replicates, seed=seed)[0], rate)


def told(found: Outcome) -> dict[str, object]:
    """An outcome as columns; where it is undefined, `reason` says why."""
    counts = {"n": found.n, "events": found.events}
    if isinstance(found, Estimate):
        span = {"estimate": found.value, "low": found.low, "high": found.high}
        return {"metric": found.metric, **span, **counts, "reason": ""}
    return {"metric": found.metric, "estimate": None, "low": None, "high": None, **counts, "reason": found.reason}


def changed(found: Outcome | None) -> dict[str, object]:
    """A change as columns."""
    if isinstance(found, Estimate):
        return {"change": found.value, "change_low": found.low, "change_high": found.high}
    return {"change": None, "change_low": None, "change_high": None}


def written(frame: pd.DataFrame) -> str:
    """A table for people, without reasons where there are none."""
    shown = frame if frame["reason"].any() else frame.drop(columns="reason")
    return shown.to_string(index=False, float_format="{:.3f}".format, na_rep="\u2013")
