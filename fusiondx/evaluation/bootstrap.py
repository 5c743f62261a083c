"""Many bootstrap replicates of an AUROC, by how often each patient is drawn and never a second sort."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fusiondx.errors import ConfigError, DataError
from fusiondx.evaluation import checking

Floats = npt.NDArray[np.float64]


def bootstrap_auroc(score: npt.ArrayLike, positive: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0) -> Floats:
    """AUROCs of `replicates` sets of as many patients drawn with replacement (Efron & Tibshirani 1993).

    Patients are sorted once; a replicate is their multiplicities in that order, one running sum and one product, so
    it is linear in patients. NaN where a replicate holds one class only. Raises `DataError` with one class, for
    scores that are not finite and labels that are not 0 or 1, `ConfigError` for fewer than one replicate.
    """
    score, positive = checking.scored(score, positive)
    if reason := checking.lacking(positive):
        raise DataError(f"An AUROC cannot be resampled: {reason}. Give patients of both classes.")
    if replicates < 1:
        raise ConfigError(f"replicates is {replicates}. Give at least 1.")
    below = np.sort(score[~positive])
    ranked = np.sort(score[positive])
    lower, upper = (np.searchsorted(below, ranked, side=side) for side in ("left", "right"))
    tied, n, others = bool((lower != upper).any()), len(score), len(below)
    rng, found, upto = np.random.default_rng(seed), np.full(replicates, np.nan), np.zeros(others + 1)
    for number in range(replicates):
        # Draws do not care who is who: negative patients come first, then positive ones, both by ascending score
        drawn = np.bincount(rng.integers(n, size=n, dtype=np.uint32), minlength=n)
        np.cumsum(drawn[:others], out=upto[1:])
        beaten = (upto[lower] + upto[upper]) / 2 if tied else upto[lower]
        pairs = upto[-1] * (n - upto[-1])
        if pairs:
            found[number] = drawn[others:] @ beaten / pairs
    return found
