"""Do default 95 % intervals of survival metrics cover the truth, and do paired tests reject as rarely as they say?

As a script, writes the table: ``python tests/laws/test_survival_coverage.py 1000 > docs/coverage/survival.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, product

import numpy as np
import pytest

from fusiondx.evaluation.concordance import harrell_c
from fusiondx.evaluation.dynamic_auc import dynamic_auc
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.influence import Influence, Judged, compare, estimate
from fusiondx.evaluation.survival_brier import integrated_brier, prediction_accuracy, survival_brier
from fusiondx.evaluation.survival_calibration import smooth_calibration
from fusiondx.evaluation.uno import uno_c

PATIENTS, CENSORED, STRENGTH = (50, 100, 200, 400), (0.0, 0.3, 0.6, 0.8), (0.3, 1.0, 2.5)
HORIZON = 8.0
GRID = np.array([2.0, 4.0, 6.0, 8.0])


@dataclass(frozen=True)
class World:
    """Where patients come from: exponential times at a hazard that a risk of this strength moves, one in ten at 0."""

    censored: float
    strength: float

    def patients(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Two models' risks, times and events."""
        rng = np.random.default_rng(seed)
        true, time, event = self.followed(n, rng)
        risks = [true + 0.5 * self.strength * rng.normal(size=n) for _ in range(2)]
        return risks[0], risks[1], time, event

    def followed(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """True risks, times and events."""
        true = self.strength * rng.normal(size=n)
        latent, end = rng.exponential(10 * np.exp(-true)), rng.exponential(self._end, n)
        return true, np.minimum(latent, end), (latent <= end).astype(int)

    @property
    def _end(self) -> float:
        """Mean time to censoring, for about this share of patients to be censored."""
        return np.inf if self.censored == 0 else 10 * (1 - self.censored) / self.censored


def chance(risk: np.ndarray, horizon: float) -> np.ndarray:
    return 1 - np.exp(-horizon / 10 * np.exp(risk))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Judged]] = {
    "Harrell's C": harrell_c,
    "Uno's C": lambda risk, time, event: uno_c(risk, time, event, tau=HORIZON),
    "AUC(t)": lambda risk, time, event: dynamic_auc(risk, time, event, HORIZON),
    "Brier(t)": lambda risk, time, event: survival_brier(chance(risk, HORIZON), time, event, HORIZON),
    "IPA(t)": lambda risk, time, event: prediction_accuracy(chance(risk, HORIZON), time, event, HORIZON),
    "IBS": lambda risk, time, event: integrated_brier(
        1 - np.stack([chance(risk, t) for t in GRID], axis=1), GRID, time, event
    ),
}


@cache
def truth(metric: str, world: World, seed: int) -> Influence:
    """The metric in so many patients that its own error does not count."""
    a, _, time, event = world.patients(200_000, seed)
    found = METRICS[metric](a, time, event)
    assert isinstance(found, Influence)
    return found


def covered(metric: str, world: World, n: int, rounds: int, seed: int) -> tuple[float, float, int]:
    """Share of intervals that hold the truth, their mean width, and how many there are."""
    sought, hits, widths = truth(metric, world, seed), [], []
    for turn in range(rounds):
        a, _, time, event = world.patients(n, seed + 1 + turn)
        found = estimate(METRICS[metric](a, time, event))
        if isinstance(found, Estimate) and found.horizon == sought.horizon:
            hits.append(found.low <= sought.value <= found.high)
            widths.append(found.high - found.low)
    return (float(np.mean(hits)), float(np.mean(widths)), len(hits)) if hits else (np.nan, np.nan, 0)


def rejected(metric: str, world: World, n: int, rounds: int, seed: int) -> float:
    """Share of paired tests at 0.05 of two equally good models that find a difference."""
    found = []
    for turn in range(rounds):
        a, b, time, event = world.patients(n, seed + turn)
        both = compare(METRICS[metric](a, time, event), METRICS[metric](b, time, event))
        if isinstance(both, Estimate) and both.p is not None:
            found.append(both.p < 0.05)
    return float(np.mean(found))


def cells() -> Iterator[tuple[World, int]]:
    return ((World(censored, strength), n) for n, censored, strength in product(PATIENTS, CENSORED, STRENGTH))


def usable(world: World, n: int) -> bool:
    """Whether 15 events are expected at least, and 5 patients under observation at the horizon.

    Fewer make no evaluation: of the variance of two or three survivors nothing is known, and intervals are all but
    endless.
    """
    return n * (1 - world.censored) >= 15 and n * np.mean(world.patients(20_000, seed=0)[2] > HORIZON) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_intervals_cover(metric: str) -> None:
    shares = [covered(metric, world, n, 400, seed=7)[0] for world, n in cells() if usable(world, n)]
    # 400 rounds leave a standard error of 0.011, so limits are those of the table, two of these wider
    assert np.mean([0.93 - 0.022 <= share <= 0.975 + 0.016 for share in shares]) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
def test_paired_tests_reject_one_in_twenty(metric: str) -> None:
    assert 0.035 <= rejected(metric, World(0.3, 1.0), 200, 1500, seed=11) <= 0.065


MISCALIBRATED = (1.4, 0.4), (1.0, 0.0)
"""What log cumulative hazards are multiplied by and moved: too far apart and too high, or right."""


def index_covered(world: World, n: int, wrong: tuple[float, float], rounds: int, seed: int) -> float:
    """Share of intervals of the integrated calibration index that hold it; predictions of the true risk, made wrong."""
    many = world.strength * np.random.default_rng(seed).normal(size=200_000)

    def said(true: np.ndarray) -> np.ndarray:
        return chance(wrong[0] * (true + np.log(HORIZON / 10)) + wrong[1] - np.log(HORIZON / 10), HORIZON)

    sought, hits = np.abs(said(many) - chance(many, HORIZON)).mean(), []
    for turn in range(rounds):
        true, time, event = world.followed(n, np.random.default_rng(seed + 1 + turn))
        found = smooth_calibration(said(true), time, event, HORIZON)
        if not isinstance(found, Undefined) and isinstance(found.ici, Estimate):
            hits.append(found.ici.low <= sought + 1e-12 <= found.ici.high)
    return float(np.mean(hits))


def test_the_calibration_index_covers_at_one_cell_also_where_predictions_are_right() -> None:
    """A bootstrap's percentiles never reach 0, which is the truth then."""
    wrong, right = (index_covered(World(0.3, 1.0), 100, off, 100, seed=3) for off in MISCALIBRATED)
    assert wrong >= 0.88
    assert right >= 0.9


def test_an_interval_covers_at_one_cell() -> None:
    """The quick form of the slow suite above."""
    assert 0.9 <= covered("Harrell's C", World(0.3, 1.0), 100, 200, seed=3)[0] <= 0.99


def intervals(rounds: int) -> Iterator[str]:
    yield "# Coverage of survival intervals\n"
    yield f"Written by `python tests/laws/test_survival_coverage.py {rounds}`: share of {rounds:,} 95 % intervals"
    yield "that hold the value in 200,000 patients of the same population; horizon, tau and end of the integral 8."
    yield f"A coverage of 0.95 has a standard error of {np.sqrt(0.95 * 0.05 / rounds):.3f} here. Cells in which fewer"
    yield "than 15 events, or 5 patients under observation at the horizon, are expected are left out: intervals there"
    yield "are wider than they need be. Sets where a metric is undefined, or its integral ends earlier, are left out.\n"
    yield "| n | censored | strength | " + " | ".join(METRICS) + " |"
    yield "|---|---|---|" + "---|" * len(METRICS)
    within = dict.fromkeys(METRICS, 0)
    rows = [(world, n) for world, n in cells() if usable(world, n)]
    for world, n in rows:
        shares = {metric: covered(metric, world, n, rounds, seed=1)[0] for metric in METRICS}
        for metric, share in shares.items():
            within[metric] += 0.93 <= share <= 0.975
        shown = " | ".join(f"{share:.3f}" for share in shares.values())
        yield f"| {n} | {world.censored:.0%} | {world.strength:g} | {shown} |"
    yield "| cells within 0.93 to 0.975 | | | " + " | ".join(f"{c} of {len(rows)}" for c in within.values()) + " |\n"
    share = sum(within.values()) / len(rows) / len(METRICS)
    yield f"Of all cells of all metrics, {share:.0%} are within 0.93 to 0.975."


def indices(rounds: int) -> Iterator[str]:
    yield "\n## Integrated calibration index\n"
    yield f"Share of {rounds:,} intervals of `smooth_calibration` that hold it, where log cumulative hazards are 1.4"
    yield "times too far apart and too high, and where they are right: the index is 0 then, and an interval that begins"
    yield "at 0 can miss it on one side only.\n"
    yield "| n | censored | strength | wrong | right |\n|---|---|---|---|---|"
    for n, censored, strength in product((50, 100, 200, 400), (0.0, 0.3, 0.6), (0.3, 1.0)):
        shares = (index_covered(World(censored, strength), n, off, rounds, seed=1) for off in MISCALIBRATED)
        yield f"| {n} | {censored:.0%} | {strength:g} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"


def paired_tests(rounds: int) -> Iterator[str]:
    yield f"\n## Paired tests\n\nShare of {rounds:,} comparisons of two equally good models with p < 0.05; n = 200.\n"
    yield "| censored | " + " | ".join(METRICS) + " |"
    yield "|---|" + "---|" * len(METRICS)
    for censored in (0.3, 0.6):
        shares = [rejected(metric, World(censored, 1.0), 200, rounds, seed=1) for metric in METRICS]
        yield f"| {censored:.0%} | " + " | ".join(f"{share:.3f}" for share in shares) + " |"


if __name__ == "__main__":
    rounds = int(sys.argv[1])
    for line in chain(intervals(rounds), indices(rounds), paired_tests(4 * rounds)):
        print(line, flush=True)
