"""Site-preserved parts: whole sites go to one part, and the parts are as alike as sites allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp

from fusiondx.errors import DataError, counted

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TANGENTS = np.array([-1, -0.7, -0.4, -0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6])
"""Relative deviations at which the square is touched by a line: between them it is at most a hundredth too low near
its minimum, where balance is decided."""
GAP = 0.001
"""Search ends where no partition can be better by more than this, in mean squared relative deviation."""
NODES = 3000
"""And after this many nodes, a limit of work and not of time, so that every machine ends with the same partition."""
VARIETY = 0.001
"""How much worse, in mean squared relative deviation, a seed may make a partition for the sake of another one."""


@dataclass(frozen=True)
class Allocation:
    """Which part each site goes to, and how good that is."""

    part: Ints
    """Of each site, in the order of ``np.unique(groups)``. Shape ``(sites,)``."""
    gap: float
    """By how much, at most, a better partition could lower the mean squared relative deviation."""


def allocate(strata: Ints, groups: Array, shares: Floats, seed: int) -> Allocation:
    """Put whole groups into parts of the given `shares` of patients, alike in `strata`.

    Minimises the mean over strata and parts of the squared relative deviation from the asked share, the number of
    patients being one more stratum (Howard et al. 2021, who used a commercial solver), as a mixed-integer linear
    program with the square touched by tangents, solved by HiGHS. Raises `DataError` where there are fewer groups
    than parts.
    """
    counts = table(strata, groups)
    if len(counts) < len(shares):
        raise DataError(f"{counted(len(counts), 'group')} do not fill {len(shares)} parts. Ask for fewer parts.")
    solved = _solved(counts, shares, np.random.default_rng(seed))
    taken = solved.x[: len(counts) * len(shares)].reshape(len(counts), len(shares))
    # HiGHS measures its gap relative to the objective, of which the constant 1 is a part
    return Allocation(taken.argmax(axis=1).astype(np.int64), float(solved.mip_gap * solved.fun))


def table(strata: Ints, groups: Array) -> Floats:
    """Patients of each group (rows) by stratum, and of all strata in the last column."""
    sites, site = np.unique(groups, return_inverse=True)
    labels, label = np.unique(strata, return_inverse=True)
    cells = np.bincount(site * len(labels) + label, minlength=len(sites) * len(labels))
    counts = cells.reshape(len(sites), len(labels)).astype(np.float64)
    return np.column_stack([counts, counts.sum(axis=1)]) if len(labels) > 1 else counts


def _solved(counts: Floats, shares: Floats, random: np.random.Generator) -> OptimizeResult:
    """Variables: site x part (0/1), then the deviation of each stratum x part, then the constant 1.

    The constant makes the solver's relative gap one in terms of deviation, also where the best deviation is 0.
    """
    sites, parts, cells = len(counts), len(shares), counts.shape[1] * len(shares)
    choices = sites * parts
    cost = np.concatenate([random.uniform(0, VARIETY / sites, choices), np.full(cells, 1 / cells), [1.0]])
    lower, upper = np.zeros(len(cost)), np.concatenate([np.ones(choices), np.full(cells, np.inf), [1.0]])
    lower[-1] = 1
    if np.ptp(shares) < 1e-12:
        # parts of one size can be renamed: the largest site is in the first, the next in one of the first two, ...
        for place, site in enumerate(np.argsort(-counts[:, -1], kind="stable")[:parts]):
            upper[site * parts + place + 1 : (site + 1) * parts] = 0
    return milp(
        cost,
        constraints=list(_constraints(counts, shares)),
        integrality=np.concatenate([np.ones(choices), np.zeros(cells + 1)]),
        bounds=Bounds(lower, upper),
        options={"mip_rel_gap": GAP, "node_limit": NODES},
    )


def _constraints(counts: Floats, shares: Floats) -> Iterator[LinearConstraint]:
    """Each site in one part; no part empty; deviations on or above every tangent of their square."""
    sites, parts, cells = len(counts), len(shares), counts.shape[1] * len(shares)

    def over(choices: Any, deviations: Any) -> Any:
        rest = sparse.csr_matrix((choices.shape[0], 1))
        return sparse.hstack([choices, deviations, rest]).tocsc()

    yield LinearConstraint(
        over(sparse.kron(sparse.eye(sites), np.ones((1, parts))), sparse.csr_matrix((sites, cells))), 1, 1
    )
    yield LinearConstraint(
        over(sparse.kron(np.ones((1, sites)), sparse.eye(parts)), sparse.csr_matrix((parts, cells))), 1, np.inf
    )
    asked = np.outer(counts.sum(axis=0), shares).ravel()
    share = sparse.kron(counts.T, sparse.eye(parts)).multiply(1 / asked[:, None])
    for at in TANGENTS:
        yield LinearConstraint(over(2 * at * share, -sparse.eye(cells)), -np.inf, at * at + 2 * at)
