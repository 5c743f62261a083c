"""Do 95 % intervals of class metrics contain the truth as often as they say? Run as a script: the table in the docs.

Scores of either class are normal with variance 1, so AUROC, average precision, the table at any threshold and the
probability each score stands for are known exactly, or by one sum over a fine grid. Patients of a simulated set are
positive with probability `prevalence`, each on its own. Calibration is judged on probabilities made too extreme
(`STRETCH`) and too high (`MOVE`), so that its truth is not an ideal value.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri

from fusiondx.evaluation import confusion
from fusiondx.evaluation.average_precision import estimate_average_precision
from fusiondx.evaluation.brier import estimate_brier, estimate_brier_skill
from fusiondx.evaluation.calibration import (
    estimate_calibration_errors,
    estimate_calibration_intercept,
    estimate_calibration_slope,
    estimate_observed_expected,
)
from fusiondx.evaluation.delong import auroc_difference, estimate_auroc
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.net_benefit import estimate_net_benefit
from fusiondx.evaluation.operating_points import judge_threshold

PAGE = Path(__file__).parents[2] / "docs" / "coverage" / "classification.md"
GRID = tuple(product((50, 100, 400), (0.1, 0.3, 0.5), (0.6, 0.7, 0.9, 0.98)))
STRETCH, MOVE = 1.5, 0.5
LOW, HIGH = 0.93, 0.975
PERFECT = "ici, perfect predictions"


@dataclass(frozen=True)
class World:
    """Patients without end, of one prevalence and one AUROC."""

    prevalence: float
    auc: float

    @property
    def shift(self) -> float:
        """Between the classes' mean scores, in standard deviations."""
        return float(np.sqrt(2) * ndtri(self.auc))

    def risk(self, score: np.ndarray) -> np.ndarray:
        """Log odds of being positive at a score."""
        return logit(self.prevalence) + self.shift * score - self.shift**2 / 2

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        positive = rng.random(n) < self.prevalence
        return rng.normal(size=n) + self.shift * positive, positive

    def truth(self) -> dict[str, float]:
        """Of every metric."""
        x = np.linspace(-9, 9 + self.shift, 40_001)
        weight = np.exp(-(x**2) / 2) * (1 - self.prevalence), np.exp(-((x - self.shift) ** 2) / 2) * self.prevalence
        whole = sum(weight[0] + weight[1])
        down, up = weight[0] / whole, weight[1] / whole
        said = expit(STRETCH * self.risk(x) + MOVE)
        found, flagged = np.cumsum(up[::-1])[::-1], np.cumsum((up + down)[::-1])[::-1]
        brier = (up * (1 - said) ** 2 + down * said**2).sum()
        large = brentq(lambda move: ((up + down) * expit(logit(said) + move)).sum() - self.prevalence, -9, 9)
        acts = said >= 0.2
        return {
            "auroc": self.auc,
            "average_precision": (up * found / flagged).sum() / self.prevalence,
            "brier": brier,
            "brier_skill": 1 - brier / (self.prevalence * (1 - self.prevalence)),
            "calibration_intercept": large,
            "calibration_slope": 1 / STRETCH,
            "observed_expected": self.prevalence / ((up + down) * said).sum(),
            "ici": ((up + down) * np.abs(said - expit(self.risk(x)))).sum(),
            PERFECT: 0.0,
            "net_benefit": up[acts].sum() - 0.25 * down[acts].sum(),
            **self.table(),
        }

    @property
    def cut(self) -> float:
        """Between the two means."""
        return self.shift / 2

    def table(self) -> dict[str, float]:
        """Metrics of the threshold `cut`."""
        sensitivity = specificity = float(ndtr(self.shift / 2))
        p, q = self.prevalence, 1 - self.prevalence
        hits, alarms, missed, spared = sensitivity * p, (1 - specificity) * q, (1 - sensitivity) * p, specificity * q
        spread = np.sqrt((hits + alarms) * (missed + spared) * p * q)
        return {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": hits / (hits + alarms),
            "npv": spared / (spared + missed),
            "positive_likelihood_ratio": sensitivity / (1 - specificity),
            "negative_likelihood_ratio": (1 - sensitivity) / specificity,
            "accuracy": hits + spared,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "f1": 2 * hits / (2 * hits + alarms + missed),
            "mcc": (hits * spared - alarms * missed) / spread,
        }


def judged(world: World, score: np.ndarray, positive: np.ndarray) -> Iterator[Outcome]:
    """Every default interval of one simulated set."""
    said = expit(STRETCH * world.risk(score) + MOVE)
    yield estimate_auroc(score, positive)
    yield estimate_average_precision(score, positive)
    yield from judge_threshold(score, positive, world.cut)
    called = score >= world.cut
    table = np.array(
        [
            [(~called & ~positive).sum(), (called & ~positive).sum()],
            [(~called & positive).sum(), (called & positive).sum()],
        ],
        dtype=float,
    )
    yield confusion.estimate_accuracy(table)
    yield confusion.estimate_balanced_accuracy(table)
    yield confusion.estimate_f1(table)
    yield confusion.estimate_mcc(table)
    yield estimate_brier(said, positive)
    yield estimate_brier_skill(said, positive)
    yield estimate_calibration_intercept(said, positive)
    yield estimate_calibration_slope(said, positive)
    yield estimate_observed_expected(said, positive)
    yield estimate_net_benefit(said, positive, 0.2)
    yield estimate_calibration_errors(said, positive)[0]
    perfect = estimate_calibration_errors(expit(world.risk(score)), positive)[0]
    yield replace(perfect, metric=PERFECT)


def coverage(n: int, world: World, sets: int, seed: int) -> dict[str, tuple[float, float]]:
    """Of each metric: how often its interval holds the truth, and how often it is defined."""
    rng, truth = np.random.default_rng(seed), world.truth()
    held: dict[str, list[bool]] = defaultdict(list)
    for _ in range(sets):
        for outcome in judged(world, *world.draw(n, rng)):
            if isinstance(outcome, Estimate):
                held[outcome.metric].append(outcome.low <= truth[outcome.metric] <= outcome.high)
    return {metric: (float(np.mean(of)), len(of) / sets) for metric, of in held.items()}


def rejections(n: int, world: World, sets: int, seed: int) -> float:
    """How often DeLong's paired test calls two scores of the same AUROC different, at 5 %."""
    rng, rejected, defined = np.random.default_rng(seed), 0, 0
    for _ in range(sets):
        positive = rng.random(n) < world.prevalence
        both = rng.normal(size=n)
        a, b = (np.sqrt(0.5) * (both + rng.normal(size=n)) + world.shift * positive for _ in "ab")
        found = auroc_difference(a, b, positive)
        if isinstance(found, Estimate):
            defined += 1
            rejected += found.p < 0.05
    return rejected / defined


NULLS = tuple(product((200,), (0.2, 0.5), (0.6, 0.7, 0.9)))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "prevalence", "auc"), [(50, 0.3, 0.98), (100, 0.1, 0.9), (400, 0.5, 0.7)])
def test_intervals_cover(n, prevalence, auc):
    """Thrice the standard error of 400 sets is 0.033."""
    found = coverage(n, World(prevalence, auc), 400, seed=1)
    assert {metric: held for metric, (held, _) in found.items() if held <= 0.91} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "prevalence", "auc"), NULLS)
def test_paired_delong_rejects_as_often_as_it_says(n, prevalence, auc):
    assert 0.035 < rejections(n, World(prevalence, auc), 3000, seed=1) < 0.065


def page(sets: int) -> str:
    """The table in the docs, worked out afresh."""
    cells = {cell: coverage(cell[0], World(*cell[1:]), sets, seed) for seed, cell in enumerate(GRID)}
    metrics = list(dict.fromkeys(metric for found in cells.values() for metric in found))
    rows = []
    for metric in metrics:
        held = np.array([found[metric][0] for found in cells.values() if metric in found])
        inside = np.mean((held >= LOW) & (held <= HIGH))
        worst = min((found[metric][0], cell) for cell, found in cells.items() if metric in found)
        rows.append(
            f"| `{metric}` | {held.mean():.3f} | {held.min():.3f} to {held.max():.3f} | {inside:.0%} | "
            f"{np.mean(held >= LOW):.0%} | n {worst[1][0]}, {worst[1][1]}, {worst[1][2]} |"
        )
    core = [found[m][0] for found in cells.values() for m in metrics if m in found and m != PERFECT]
    share = np.mean([(LOW <= held <= HIGH) for held in core])
    tests = [f"| {n} | {p} | {auc} | {rejections(n, World(p, auc), 3000, 7):.3f} |" for n, p, auc in NULLS]
    grid = [
        f"| {n} | {p} | {auc} | " + " | ".join(f"{cells[n, p, auc][m][0]:.3f}" for m in SHOWN) + " |"
        for n, p, auc in GRID
    ]
    return PAGE_TEXT.format(
        sets=sets,
        error=np.sqrt(0.95 * 0.05 / sets),
        rows="\n".join(rows),
        share=share,
        tests="\n".join(tests),
        shown=" | ".join(f"`{name}`" for name in SHOWN),
        rule="|".join("---" for _ in SHOWN),
        grid="\n".join(grid),
    )


SHOWN = ("auroc", "average_precision", "brier", "calibration_intercept", "calibration_slope", "net_benefit")
PAGE_TEXT = """# Coverage of the intervals for classes

How often the default 95 % interval holds the truth, on simulated patients: {sets} sets in each of 36 cells, 50, 100
or 400 patients x prevalence 0.1, 0.3 or 0.5 x AUROC 0.6, 0.7, 0.9 or 0.98. A coverage of 0.95 has a standard error
of {error:.3f} here. Sets in which a metric is undefined are left out. Scores of either class are normal with equal
spread, every patient is positive on its own, and calibration is judged on probabilities that are too extreme and too
high. Written by `python tests/oracles/test_coverage_classification.py`.

| metric | mean | lowest to highest | cells in 0.93 to 0.975 | cells from 0.93 | lowest at n, prevalence, AUROC |
|---|---|---|---|---|---|
{rows}

Of all cells of all metrics, {share:.0%} are within 0.93 to 0.975, the last row not counted: there the truth is 0 and
an interval that begins at 0 can miss it on one side only. Shares of few patients can only take few values, so the
coverage of Wilson's interval jumps around 0.95 rather than staying there.

## Cell by cell

| n | prevalence | AUROC | {shown} |
|---|---|---|{rule}|
{grid}

## The paired test of two AUROCs

Share of 3,000 sets of 200 patients in which DeLong's test rejects, at 0.05, that two scores of equal AUROC and
correlation 0.5 differ (standard error 0.004):

| n | prevalence | AUROC | rejected |
|---|---|---|---|
{tests}
"""


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(int(sys.argv[1]) if len(sys.argv) > 1 else 1000), encoding="utf-8")
