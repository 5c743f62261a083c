"""Do the examples in the docstrings run, and does every public name have one?

They all start from the same names: `cohort`, 60 simulated patients, whose files lie in the current folder; `train` and
`test`, two parts of it; `model`, fitted for two epochs with the settings `quick`; `report` on it; `probability` and
`positive` of 400 patients; `risk`, `time` and `event` of 400 others.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch

import fusiondx as fdx
from fusiondx import evaluation

PUBLIC = (
    "fusiondx",
    "fusiondx.auditing",
    "fusiondx.encoders",
    "fusiondx.evaluation",
    "fusiondx.fusion",
    "fusiondx.heads",
    "fusiondx.reporting.displays",
    "fusiondx.validation",
)
"""Packages whose ``__all__`` users import from."""
BESIDE = (
    "fusiondx.evaluation.comparison.compare",
    "fusiondx.evaluation.comparison.pooled",
    "fusiondx.evaluation.comparison.repeated_folds",
    "fusiondx.evaluation.concordance.harrell_c",
    "fusiondx.evaluation.influence.compare",
    "fusiondx.evaluation.influence.estimate",
    "fusiondx.reporting.subgroups.subgroup_frame",
)
"""What the docs import from elsewhere."""
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def public() -> dict[str, Any]:
    """Classes and functions by the name they are imported under; a name of two packages counts once."""
    places = [(module, name) for module in PUBLIC for name in importlib.import_module(module).__all__]
    places += [tuple(path.rsplit(".", 1)) for path in BESIDE]
    found = {f"{module}.{name}": getattr(importlib.import_module(module), name) for module, name in places}
    seen: set[int] = set()
    return {
        path: value
        for path, value in found.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not (id(value) in seen or seen.add(id(value)))
    }


NAMES = public()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What every example starts from."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.chdir(folder)
        matplotlib.use("Agg")
        warnings.simplefilter("ignore", fdx.FusionDxWarning)  # sixty simulated patients are few
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        cohort = fdx.Cohort.read(fdx.simulate(folder, patients=60, image_size=16))
        train, test = cohort.split(test=0.4, seed=0)
        quick = fdx.Training(epochs=2, validation=0)
        model = fdx.FusionModel({"image": "smallcnn"}, training=quick).fit(train)
        report = fdx.evaluate(model, test, baselines=False, replicates=20)
        yield {
            **{"fdx": fdx, "np": np, "pd": pd, "evaluation": evaluation},
            **{"cohort": cohort, "train": train, "test": test, "quick": quick, "model": model, "report": report},
            **judged(),
        }
        torch.set_num_threads(threads)


def judged() -> dict[str, Any]:
    """Calibrated probabilities with outcomes, and risks with times; no patient stands behind them."""
    random = np.random.default_rng(0)
    probability = random.beta(1.2, 2.4, 400)
    positive = random.random(400) < probability
    risk = random.normal(size=400)
    died, left = random.exponential(np.exp(-risk)), random.exponential(2.0, 400)
    return {
        **{"probability": probability, "positive": positive},
        **{"risk": risk, "time": np.minimum(died, left), "event": died <= left},
    }


def example(path: str) -> doctest.DocTest:
    """The examples in the docstring of a public name itself; those of its methods are looked for apart."""
    text = NAMES[path].__doc__ or ""
    return doctest.DocTestParser().get_doctest(inspect.cleandoc(text), {}, path, path, 0)


@pytest.mark.parametrize("path", NAMES)
def test_every_public_name_has_an_example_that_runs(path: str, start: dict[str, Any]) -> None:
    found = example(path)
    assert found.examples, "its docstring needs an example"
    found.globs = dict(start)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(found, out=said.append, clear_globs=False)
    assert not said, "".join(said)


def test_a_wrong_example_would_be_noticed(start: dict[str, Any]) -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> len(cohort)\n61\n", dict(start), "wrong", None, 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(wrong, out=said.append)
    assert "Got:\n    60" in "".join(said)
