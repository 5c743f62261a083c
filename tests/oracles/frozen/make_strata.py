"""Cox regression stratified by group, of the patients in survival.json, written to strata.json beside this file.

Made with lifelines 0.30.3 under Python 3.11, which is no dependency: it pins pandas < 3. Run it in an environment of
its own:

    python tests/oracles/frozen/make_strata.py
"""

import json
from pathlib import Path

import pandas as pd
from lifelines import CoxPHFitter

HERE = Path(__file__).parent


def reference(patients: dict[str, list[float]]) -> dict[str, object]:
    frame = pd.DataFrame(patients)[["x0", "x1", "x2", "time", "event", "group"]]
    fit = CoxPHFitter(strata=["group"]).fit(frame, "time", "event", fit_options={"precision": 1e-10})
    return {"beta": fit.params_.tolist(), "log_likelihood": fit.log_likelihood_}


if __name__ == "__main__":
    cases = json.loads((HERE / "survival.json").read_text())
    names = [name for name in cases if name != "twenty patients"]  # too few for three strata
    frozen = {name: reference(cases[name]["patients"]) for name in names}
    (HERE / "strata.json").write_text(json.dumps(frozen, allow_nan=False) + "\n")
