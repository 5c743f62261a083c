"""Resampling: patients drawn with replacement, as patients of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fusiondx.data.cohort import Cohort

Ints = npt.NDArray[np.int64]


def drawn(cohort: Cohort, positions: Ints) -> Cohort:
    """The patients at `positions`, any of them several times; the second time a patient is called ``P07~2``.

    For training on bootstrap samples only: an interval that counted the copies as patients would be too narrow.
    """
    order = np.argsort(positions, kind="stable")
    ranked = positions[order]
    first = np.searchsorted(ranked, ranked, side="left")
    times = np.empty(len(positions), dtype=np.int64)
    times[order] = np.arange(len(positions)) - first + 1
    names = [f"{cohort.ids[p]}~{n}" if n > 1 else cohort.ids[p] for p, n in zip(positions, times, strict=True)]
    return replace(
        cohort,
        ids=np.array(names, dtype=object),
        modalities={name: modality.take(positions) for name, modality in cohort.modalities.items()},
        targets={name: values[positions] for name, values in cohort.targets.items()},
        site=None if cohort.site is None else cohort.site[positions],
        position=cohort.position[positions],
    )
