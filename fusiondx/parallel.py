"""Parallel: the same function over several tasks in processes of their own, each with its share of the cores."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from fusiondx.errors import ConfigError

T = TypeVar("T")


def each(function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], jobs: int = 1) -> Iterator[T]:
    """What `function` makes of each of `tasks`, in their order, `jobs` at a time.

    With one job, here and now. With more, in processes that are kept for the next call; each computes with as many
    threads as there are cores for it, so that on one thread the numbers are those of one job. Warnings are given here.
    Raises what the function raises, and `ConfigError` for fewer than one job.
    """
    if jobs < 1:
        raise ConfigError(f"jobs is {jobs}. Give at least 1.")
    work = list(tasks)
    if jobs == 1 or len(work) < 2:
        yield from (function(*task) for task in work)
        return
    from joblib import Parallel, delayed  # nothing here is loaded from a file

    threads = threads_per_job(jobs)
    pool = Parallel(n_jobs=min(jobs, len(work)), backend="loky", return_as="generator")
    for found, warned in pool(delayed(apart)(function, task, threads) for task in work):
        for message in warned:
            warnings.warn(message, stacklevel=2)
        yield found


def threads_per_job(jobs: int) -> int:
    """The cores there are for each of `jobs` processes."""
    return max(1, cores() // jobs)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def apart(function: Callable[..., T], task: tuple[Any, ...], threads: int) -> tuple[T, list[Warning]]:
    """The result of one task and the warnings it gave, for another process."""
    import torch

    torch.set_num_threads(threads)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = function(*task)
    return found, [w.message for w in caught if isinstance(w.message, Warning)]
