"""What the feature cache saves when fusions are compared on derm7pt's two photographs, with a frozen backbone.

Run as ``OMP_NUM_THREADS=1 FUSIONDX_DATA=... python benchmarks/embed_once.py [patients]``. Both sides train the same
five fusions on the same folds. "Without" starts every fit with an empty cache and so looks at each of its images once
per fit; a library that ran the frozen network in every epoch would be slower still.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import fusiondx as fdx
from fusiondx.data.cache import VARIABLE

FUSIONS = {
    "concat": fdx.Concat(),
    "gated": fdx.Gated(),
    "mean": fdx.Mean(),
    "concat, no dropout": fdx.Concat(dropout=0.0),
    "gated, no dropout": fdx.Gated(dropout=0.0),
}
FROZEN = fdx.Backbone("tf_efficientnet_lite0", pretrained=True, freeze=True)
CONFIGS = Path(__file__).parents[1] / "configs"


def compare(cohort: fdx.Cohort, folder: Path, cached: bool) -> float:
    """Seconds that five fusions on five folds take, from cold."""
    started = time.perf_counter()
    for number, fusion in enumerate(FUSIONS.values()):
        for fold, (train, test) in enumerate(cohort.folds(5)):
            os.environ[VARIABLE] = str(folder / ("one" if cached else f"{number} {fold}"))
            encoders = dict.fromkeys(
                ("dermoscopy", "photograph"), fdx.Backbone("tf_efficientnet_lite0", True, freeze=True)
            )
            model = fdx.FusionModel(encoders, fusion, training=fdx.Training(epochs=20, progress=False))
            model.fit(cohort[train]).predict(cohort[test])
    return time.perf_counter() - started


def main() -> None:
    patients = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    data = Path(os.environ.get("FUSIONDX_DATA", "../shared/data")) / "derm7pt"
    whole = fdx.Cohort.read(CONFIGS / "derm7pt" / "cohort.yaml", data)
    cohort = whole[np.sort(np.random.default_rng(0).permutation(len(whole))[:patients])]
    with tempfile.TemporaryDirectory() as folder:
        seconds = {cached: compare(cohort, Path(folder), cached) for cached in (True, False)}
    print(f"{patients} patients, {len(FUSIONS)} fusions x 5 folds: {seconds[True]:.0f} s with the cache, ", end="")
    print(f"{seconds[False]:.0f} s without: {seconds[False] / seconds[True]:.1f} times as fast")


if __name__ == "__main__":
    main()
