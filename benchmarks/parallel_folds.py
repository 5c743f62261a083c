"""Five folds on two cores: how near to the ideal of half the time? One thread per process in both cases.

Processes are started and have imported the library before the clock runs: that cost, printed apart, is paid once.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch

from fusiondx.data.cohort import Cohort
from fusiondx.data.synthetic import simulate
from fusiondx.model import FusionModel
from fusiondx.parallel import cores, each
from fusiondx.training import Training
from fusiondx.validation import cross_validate


def seconds(cohort: Cohort, epochs: int, folds: int, jobs: int) -> float:
    """Wall time of cross-validation, without intervals."""
    model = FusionModel(training=Training(epochs=epochs, validation=0))
    started = time.perf_counter()
    cross_validate(model, cohort, folds, baselines=False, replicates=1, jobs=jobs)
    return time.perf_counter() - started


def ideal(folds: int, jobs: int) -> float:
    """The best speed-up that whole folds allow: five on two processes take three rounds, not two and a half."""
    return folds / -(-folds // jobs)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--jobs", type=int, default=2)
    ask.add_argument("--folds", type=int, default=5)
    ask.add_argument("--epochs", type=int, default=60)
    ask.add_argument("--patients", type=int, default=800)
    ask.add_argument("--repeats", type=int, default=3)
    asked = ask.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        cohort = Cohort.read(simulate(place, patients=asked.patients, image_size=32))
        cohort = cohort.select(modalities=["clinical", "omics"])
        started = time.perf_counter()
        list(each(seconds, [(cohort, 1, 2, 1)] * asked.jobs, asked.jobs))
        print(f"starting {asked.jobs} processes, on {cores()} cores: {time.perf_counter() - started:.1f} s, once")
        best = ideal(asked.folds, asked.jobs)
        for _ in range(asked.repeats):
            alone = seconds(cohort, asked.epochs, asked.folds, 1)
            together = seconds(cohort, asked.epochs, asked.folds, asked.jobs)
            gain = alone / together
            print(
                f"{asked.folds} folds: {alone:.1f} s with 1 job, {together:.1f} s with {asked.jobs}: {gain:.2f} times"
            )
            print(f"  {gain / asked.jobs:.2f} of {asked.jobs} cores; {gain / best:.2f} of {best:.2f} for whole folds")


if __name__ == "__main__":
    main()
