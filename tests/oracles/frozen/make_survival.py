"""Reference values of survival statistics on simulated patients, written to survival.json beside this file.

Made with lifelines 0.30.3 and scikit-survival 0.28.0 under Python 3.11. Neither is a dependency: lifelines pins
pandas < 3 and scikit-survival is GPL. Run it in an environment of its own that has both:

    python tests/oracles/frozen/make_survival.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter, NelsonAalenFitter
from lifelines.statistics import multivariate_logrank_test
from sksurv.compare import compare_survival
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import concordance_index_censored
from sksurv.nonparametric import kaplan_meier_estimator, nelson_aalen_estimator
from sksurv.util import Surv

PENALTIES = (0.0, 0.5, 20.0)


def simulate(n: int, censored: float, ties: float, seed: int) -> pd.DataFrame:
    """Exponential survival with a share `censored`, times rounded up to multiples of `ties`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1.0, 2.0, 0.5]
    died = rng.exponential(np.exp(-x @ [0.6, -0.2, 0.8])) * 10
    left = rng.exponential(1.0, n) * 10
    left *= np.quantile(died / left, 1 - censored)
    time = np.ceil(np.minimum(died, left) / ties) * ties
    frame = pd.DataFrame(np.round(x, 3), columns=["x0", "x1", "x2"])
    frame["risk"] = np.round(x @ [0.5, -0.1, 0.6] + rng.normal(size=n), 1)
    return frame.assign(time=np.round(time, 6), event=(died <= left).astype(int), group=rng.integers(0, 3, n))


def reference(frame: pd.DataFrame) -> dict[str, object]:
    time, event = frame["time"], frame["event"]
    x = frame[["x0", "x1", "x2"]].to_numpy()
    outcome = Surv.from_arrays(event.astype(bool), time)
    groups = multivariate_logrank_test(time, frame["group"], event)
    km = KaplanMeierFitter().fit(time, event)
    times, survival = kaplan_meier_estimator(event.astype(bool), time)
    _, hazard = nelson_aalen_estimator(event.astype(bool), time)
    aalen = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event)
    plain = CoxPHFitter().fit(frame[["x0", "x1", "x2", "time", "event"]], "time", "event")
    return {
        "patients": {name: frame[name].tolist() for name in frame},
        "times": times.tolist(),
        "kaplan_meier": survival.tolist(),
        "nelson_aalen": hazard.tolist(),
        "nelson_aalen_lifelines": aalen.cumulative_hazard_.loc[times].iloc[:, 0].tolist(),
        "greenwood": greenwood(km, times),
        "c_index": concordance_index_censored(event.astype(bool), time, frame["risk"], tied_tol=0)[0],
        "log_rank": {"chi2": groups.test_statistic, "p": groups.p_value},
        "log_rank_sksurv": dict(zip(("chi2", "p"), compare_survival(outcome, frame["group"]), strict=True)),
        "cox_lifelines": {"beta": plain.params_.tolist(), "log_likelihood": plain.log_likelihood_},
        "cox_ridge": {str(a): ridge(x, outcome, a) for a in PENALTIES},
        "cox_ridge_lifelines": {str(a): ridge_lifelines(frame, a) for a in PENALTIES},
        "breslow": breslow(x, outcome),
    }


def greenwood(km: KaplanMeierFitter, times: np.ndarray) -> list[float]:
    """Variances; lifelines keeps the sum inside Greenwood's formula, without the squared survival."""
    inside = km._cumulative_sq_.loc[times].to_numpy().ravel()
    survival = km.survival_function_.loc[times].to_numpy().ravel()
    return np.where(survival > 0, survival**2 * np.where(np.isfinite(inside), inside, 0), 0).tolist()


def ridge(x: np.ndarray, outcome: np.ndarray, penalty: float) -> list[float]:
    fit = CoxPHSurvivalAnalysis(alpha=penalty, ties="efron", tol=1e-14, n_iter=500)
    return fit.fit(x, outcome).coef_.tolist()


def ridge_lifelines(frame: pd.DataFrame, penalty: float) -> list[float]:
    """lifelines divides the likelihood by n and penalises coefficients of standardised columns (n - 1 inside)."""
    columns = frame[["x0", "x1", "x2"]]
    standard = (columns / columns.std()).assign(time=frame["time"], event=frame["event"])
    fit = CoxPHFitter(penalizer=penalty / len(frame), l1_ratio=0)
    return fit.fit(standard, "time", "event", fit_options={"precision": 1e-10}).params_.tolist()


def breslow(x: np.ndarray, outcome: np.ndarray) -> dict[str, list[float]]:
    fit = CoxPHSurvivalAnalysis(ties="efron").fit(x, outcome)
    base = fit.cum_baseline_hazard_
    return {
        "log_hazard": (x @ fit.coef_).tolist(),
        "times": np.asarray(base.x).tolist(),
        "hazard": (base.a * base.y + base.b).tolist(),
    }


def main() -> None:
    cases = {
        "ordinary": simulate(150, censored=0.4, ties=1e-6, seed=1),
        "heavy ties": simulate(200, censored=0.3, ties=4.0, seed=2),
        "85 % censored": simulate(120, censored=0.85, ties=1.0, seed=3),
        "twenty patients": simulate(20, censored=0.3, ties=2.0, seed=4),
    }
    frozen = {name: reference(frame) for name, frame in cases.items()}
    Path(__file__).with_name("survival.json").write_text(json.dumps(frozen, allow_nan=False) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore", FutureWarning)
    main()
