"""Metrics beside other libraries, at 100,000 patients, and how they grow: ``python benchmarks/metrics.py``.

scikit-survival, lifelines and torchsurv are compared with where they are installed (``pip install "fusiondx[bench]"``,
better in an environment of its own: lifelines wants pandas 2). Ours come with an interval where a name says so, theirs
never do. Times are distinct, since with ties libraries differ in what they mean.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from fusiondx import evaluation as ev
from fusiondx.evaluation.bootstrap import bootstrap_auroc, bootstrap_concordance, bootstrap_integrated_brier
from fusiondx.evaluation.concordance import concordance, harrell_c
from fusiondx.evaluation.dynamic_auc import dynamic_aucs
from fusiondx.evaluation.survival_brier import brier_scores, integrated_brier, integrated_errors
from fusiondx.evaluation.uno import uno_c
from fusiondx.survival.weights import Censoring

SIZES = (1_000, 10_000, 100_000)
TAU = 2.0
TIMES = np.linspace(0.04, TAU, 50)


@dataclass(frozen=True)
class Patients:
    """Simulated patients; all of shape ``(patients,)`` but `survival`, ``(patients, times)``."""

    risk: np.ndarray
    time: np.ndarray
    event: np.ndarray
    survival: np.ndarray
    probability: np.ndarray
    positive: np.ndarray

    @classmethod
    def some(cls, n: int) -> Patients:
        """About four in ten are censored, some of them at the end of follow-up."""
        rng = np.random.default_rng(0)
        risk = rng.normal(size=n)
        latent, end = rng.exponential(np.exp(-risk)), np.minimum(rng.exponential(2.0, n), 4.0)
        survival = np.exp(-TIMES * np.exp(0.8 * risk)[:, None])
        probability = 1 / (1 + np.exp(1 - risk))
        return cls(risk, np.minimum(latent, end), latent <= end, survival, probability, rng.random(n) < probability)


Run = Callable[[Patients], Any]
OURS: dict[str, Run] = {
    "Harrell's C": lambda p: concordance(p.risk, p.time, p.event),
    "Harrell's C with interval": lambda p: harrell_c(p.risk, p.time, p.event).value,
    "Uno's C with interval": lambda p: uno_c(p.risk, p.time, p.event, TAU).value,
    "AUC(t) at 50 times": lambda p: dynamic_aucs(p.risk, TIMES, Censoring.of(p.time, p.event)),
    "Brier(t) at 50 times": lambda p: brier_scores(p.survival, TIMES, Censoring.of(p.time, p.event)),
    "IBS over 50 times": lambda p: integrated_errors(p.survival, TIMES, Censoring.of(p.time, p.event)).mean(),
    "IBS, checked, with interval": lambda p: integrated_brier(p.survival, TIMES, p.time, p.event).value,
    "AUROC with interval": lambda p: ev.estimate_auroc(p.probability, p.positive).value,
    "average precision with interval": lambda p: ev.estimate_average_precision(p.probability, p.positive).value,
    "calibration slope with interval": lambda p: ev.estimate_calibration_slope(p.probability, p.positive).value,
    "ICI, E50, E90, Emax with intervals": lambda p: ev.estimate_calibration_errors(p.probability, p.positive)[0].value,
    "Brier score with CORP parts": lambda p: ev.brier_parts(p.probability, p.positive),
    "decision curve, 99 thresholds": lambda p: ev.net_benefit_frame(p.probability, p.positive),
}
BOOTSTRAPS: dict[str, Run] = {
    "AUROC": lambda p: bootstrap_auroc(p.probability, p.positive),
    "Harrell's C": lambda p: bootstrap_concordance(p.risk, p.time, p.event),
    "IBS over 50 times": lambda p: bootstrap_integrated_brier(p.survival, TIMES, p.time, p.event),
}


def rivals() -> dict[str, dict[str, Run]]:
    """What others offer, by library and by the metric of ours it is set beside; empty for those not installed."""
    found: dict[str, dict[str, Run]] = {"scikit-learn": {}, "scikit-survival": {}, "lifelines": {}, "torchsurv": {}}
    found["scikit-learn"] = {
        "AUROC with interval": lambda p: roc_auc_score(p.positive, p.probability),
        "average precision with interval": lambda p: average_precision_score(p.positive, p.probability),
    }
    if find_spec("sksurv"):
        from sksurv import metrics as sk
        from sksurv.util import Surv

        both = lambda p: (Surv.from_arrays(p.event, p.time),) * 2  # noqa: E731
        found["scikit-survival"] = {
            "Harrell's C": lambda p: sk.concordance_index_censored(p.event, p.time, p.risk)[0],
            "Uno's C with interval": lambda p: sk.concordance_index_ipcw(*both(p), p.risk, tau=TAU)[0],
            "AUC(t) at 50 times": lambda p: sk.cumulative_dynamic_auc(*both(p), p.risk, TIMES)[0],
            "Brier(t) at 50 times": lambda p: sk.brier_score(*both(p), p.survival, TIMES)[1],
            "IBS over 50 times": lambda p: sk.integrated_brier_score(*both(p), p.survival, TIMES),
        }
    if find_spec("lifelines"):
        from lifelines.utils import concordance_index

        found["lifelines"] = {"Harrell's C": lambda p: concordance_index(p.time, -p.risk, p.event)}
    if find_spec("torchsurv"):
        found["torchsurv"] = of_torchsurv()
    return found


def of_torchsurv() -> dict[str, Run]:
    import torch
    from torchsurv.metrics.auc import Auc
    from torchsurv.metrics.brier_score import BrierScore
    from torchsurv.metrics.cindex import ConcordanceIndex
    from torchsurv.stats.ipcw import get_ipcw

    def tensors(p: Patients) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(p.event), torch.from_numpy(p.time)

    def weighed(metric: Any, said: str, p: Patients) -> Any:
        event, at, times = *tensors(p), torch.from_numpy(TIMES)
        weights = {"weight": get_ipcw(event, at), "weight_new_time": get_ipcw(event, at, times)}
        return metric(torch.from_numpy(getattr(p, said)), event, at, new_time=times, **weights)

    def integral(p: Patients) -> Any:
        brier = BrierScore()
        weighed(brier, "survival", p)
        return brier.integral()

    return {
        "Harrell's C": lambda p: ConcordanceIndex()(torch.from_numpy(p.risk), *tensors(p)),
        "AUC(t) at 50 times": lambda p: weighed(Auc(), "risk", p),
        "Brier(t) at 50 times": lambda p: weighed(BrierScore(), "survival", p),
        "IBS over 50 times": integral,
    }


def seconds(run: Callable[[], object], times: int) -> float:
    """Processor time of the quickest of some runs."""
    best = math.inf
    for _ in range(times):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def milliseconds(took: float) -> str:
    return f"{took * 1e3:,.0f}" if took > 0.1 else f"{took * 1e3:.3g}"


def absolute() -> None:
    """Milliseconds of ours, and how they grow."""
    some = {n: Patients.some(n) for n in (*SIZES, 1_000_000)}
    print("| ms | " + " | ".join(f"n = {n:,}" for n in some) + " | slope from 10,000 |")
    print("|---|" + "---|" * (len(some) + 1))
    for name, run in OURS.items():
        took = [seconds(partial(run, p), 5 if n <= 100_000 else 3) for n, p in some.items()]
        slope = math.log10(took[-1] / took[1]) / 2
        print(f"| {name} | {' | '.join(map(milliseconds, took))} | {slope:.2f} |", flush=True)


def bootstraps() -> None:
    """Seconds that 1,000 replicates of 100,000 patients take."""
    p = Patients.some(100_000)
    print(f"\n| 1,000 bootstraps, n = 100,000 | processor s | wall s on {os.cpu_count()} cores |\n|---|---|---|")
    for name, run in BOOTSTRAPS.items():
        start, used = time.perf_counter(), time.process_time()
        run(p)
        print(f"| {name} | {time.process_time() - used:.2f} | {time.perf_counter() - start:.2f} |", flush=True)


def beside() -> None:
    """Ratios to others on the same data, and whether values agree."""
    others = rivals()
    print("\n| metric | library | " + " | ".join(f"times ours, n = {n:,}" for n in SIZES[:2]) + " | values differ by |")
    print("|---|---|---|---|---|")
    for library, metrics in others.items():
        if not metrics:
            print(f"| all | {library} | not installed | not installed | |")
        for name, run in metrics.items():
            ratios, apart = [], 0.0
            for n in SIZES[:2]:
                p = Patients.some(n)
                apart = max(apart, float(np.max(np.abs(np.asarray(run(p)) - np.asarray(OURS[name](p))))))
                ratios.append(seconds(partial(run, p), 2) / seconds(partial(OURS[name], p), 5))
            print(f"| {name} | {library} | " + " | ".join(f"{r:.3g}" for r in ratios) + f" | {apart:.1g} |", flush=True)
            assert apart < 1e-4, f"{library} gives another {name}"


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--only", choices=("absolute", "bootstraps", "beside"), help="print one of the tables")
    only = ask.parse_args().only
    for part in (absolute, bootstraps, beside):
        if only in (None, part.__name__):
            part()


if __name__ == "__main__":
    main()
