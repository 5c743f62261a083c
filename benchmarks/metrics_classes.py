"""Metrics of classes beside scikit-learn, and how they grow: ``python benchmarks/metrics_classes.py``.

Seconds of processor time, the best of several runs; ratios are of the same run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from fusiondx import evaluation as ev
from fusiondx.evaluation.bootstrap import bootstrap_auroc

SIZES = (10_000, 100_000, 1_000_000)


def seconds(run: Callable[[], object], times: int = 3) -> float:
    """Processor time of the quickest run."""
    best = math.inf
    for _ in range(times):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def patients(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    line = rng.normal(-1, 1.5, n)
    return 1 / (1 + np.exp(-line)), rng.random(n) < 1 / (1 + np.exp(-0.8 * line))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "AUROC with interval": ev.estimate_auroc,
    "AUROC, scikit-learn, no interval": lambda p, y: roc_auc_score(y, p),
    "average precision with interval": ev.estimate_average_precision,
    "average precision, scikit-learn, no interval": lambda p, y: average_precision_score(y, p),
    "calibration slope": ev.estimate_calibration_slope,
    "ICI, E50, E90, Emax with intervals": ev.estimate_calibration_errors,
    "Brier score with CORP parts": ev.brier_parts,
    "decision curve, 99 thresholds": ev.net_benefit_frame,
}


def main() -> None:
    print(f"{'metric':48s}" + "".join(f"{n:>12,d}" for n in SIZES) + "   slope 1e5 to 1e6")
    for name, metric in METRICS.items():
        took = [
            seconds(lambda metric=metric, n=n: metric(*patients(n))) - seconds(lambda n=n: patients(n)) for n in SIZES
        ]
        slope = math.log10(max(took[2], 1e-9) / max(took[1], 1e-9))
        print(f"{name:48s}" + "".join(f"{s * 1e3:9.1f} ms" for s in took) + f"   {slope:.2f}")
    p, y = patients(100_000)
    ours, theirs = seconds(lambda: bootstrap_auroc(p, y, replicates=100)), seconds(lambda: roc_auc_score(y, p))
    print(f"1,000 bootstraps of AUROC at 100,000: {ours * 10:.2f} s; scikit-learn, call by call: {theirs * 1000:.1f} s")


if __name__ == "__main__":
    main()
