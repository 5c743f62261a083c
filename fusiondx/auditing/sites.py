"""Sites: could knowing the hospital pass for knowing the tumour?"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc

from fusiondx.auditing.association import FALSE_ALARM
from fusiondx.auditing.case import Answer, Case
from fusiondx.errors import counted, listed

Array = npt.NDArray[Any]
SMALL = 5
"""Sites of fewer patients are taken together."""


def shared(case: Case) -> str | None:
    """FDX005. Sites with patients on both sides of a fold."""
    site = case.cohort.site
    if site is None or len(set(site)) < 2:
        return None
    both = [np.intersect1d(site[train], site[test]) for train, test in case.folds]
    names = np.unique(np.concatenate([site[:0], *both]))
    if not len(names):
        return None
    folds = sum(len(one) > 0 for one in both)
    return (
        f"{len(names)} of {len(set(site))} sites on both sides, in {folds} of {counted(len(both), 'fold')}: the result "
        "holds for these sites, not for new ones."
    )


def tell_the_outcome(case: Case) -> str | None:
    """FDX006. Targets that differ between sites more than chance allows."""
    if case.cohort.site is None:
        return None
    found = [(answer.name, differ(pooled(case.cohort.site), answer)) for answer in case.answers]
    told = [(name, p) for name, p in found if p < FALSE_ALARM / len(found)]
    if not told:
        return None
    differing = listed(f"{name} (p = {p:.1g})" for name, p in told)
    sites = counted(len(set(case.cohort.site)), "site")
    return f"{sites} differ in {differing}. Judge on whole sites, and beside what the site alone tells."


def pooled(site: Array) -> Array:
    """Sites as numbers, the small ones together."""
    names, place, members = np.unique(site, return_inverse=True, return_counts=True)
    return np.asarray(np.where(members < SMALL, len(names), np.arange(len(names)))[place])


def differ(site: Array, answer: Answer) -> float:
    """p-value that sites have the same mean answer, by chi-square (as Kruskal & Wallis 1952, without ranks)."""
    known = answer.known
    member, values = np.unique(site[known], return_inverse=True)[1], answer.values[known]
    size = np.bincount(member)
    if len(size) < 2 or np.ptp(values) == 0:
        return 1.0
    centred = values - values.mean()
    between = np.sum(np.bincount(member, centred) ** 2 / size)
    return float(chdtrc(len(size) - 1, between / centred.var(ddof=1)))
