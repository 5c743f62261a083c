"""Cox's loss against Efron's formula written out, and against lifelines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fusiondx.survival.likelihood import cox_loss

FROZEN = json.loads((Path(__file__).parent / "frozen" / "survival.json").read_text())
STRATA = json.loads((Path(__file__).parent / "frozen" / "strata.json").read_text())


def efron(log_hazard, time, event):
    """Negative log partial likelihood per event, one tied event after the other."""
    total = 0.0
    for moment in set(time[event == 1]):
        tied = log_hazard[(time == moment) & (event == 1)]
        risk, leaving = np.exp(log_hazard[time >= moment]).sum(), np.exp(tied).sum()
        total -= tied.sum() - sum(np.log(risk - k / len(tied) * leaving) for k in range(len(tied)))
    return total / max(event.sum(), 1)


@pytest.mark.parametrize("name", FROZEN)
def test_log_likelihood_equals_lifelines(name):
    case = FROZEN[name]
    patients = {key: np.asarray(values) for key, values in case["patients"].items()}
    x = np.column_stack([patients[f"x{j}"] for j in range(3)])
    log_hazard = torch.tensor(x @ case["cox_lifelines"]["beta"])
    loss = cox_loss(log_hazard, torch.tensor(patients["time"]), torch.tensor(patients["event"]))
    expected = -case["cox_lifelines"]["log_likelihood"] / patients["event"].sum()
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", STRATA)
def test_stratified_log_likelihood_equals_lifelines(name):
    patients = {key: np.asarray(values) for key, values in FROZEN[name]["patients"].items()}
    x = np.column_stack([patients[f"x{j}"] for j in range(3)])
    beta = torch.tensor(STRATA[name]["beta"], dtype=torch.float64, requires_grad=True)
    loss = cox_loss(torch.tensor(x) @ beta, *(torch.tensor(patients[key]) for key in ("time", "event", "group")))
    loss.backward()
    assert loss.item() == pytest.approx(-STRATA[name]["log_likelihood"] / patients["event"].sum(), rel=1e-12)
    assert beta.grad.abs().max() < 1e-5  # lifelines' optimum is ours


def test_one_stratum_is_none():
    log_hazard, time, event = torch.randn(20), torch.randint(1, 5, (20,)), torch.rand(20) < 0.6
    torch.testing.assert_close(
        cox_loss(log_hazard, time, event, torch.ones(20).long()), cox_loss(log_hazard, time, event)
    )


def test_equals_efron_written_out_on_many_small_cases():
    rng = np.random.default_rng(0)
    for _ in range(500):
        n = rng.integers(1, 12)
        log_hazard = np.round(rng.normal(size=n) * rng.choice([0.0, 1.0, 5.0]), 1)
        time, event = rng.integers(1, rng.integers(2, 9), n), rng.random(n) < rng.random()
        loss = cox_loss(torch.tensor(log_hazard), torch.tensor(time), torch.tensor(event))
        assert loss.item() == pytest.approx(efron(log_hazard, time, event), rel=1e-10, abs=1e-12)


def test_by_hand_with_a_patient_censored_at_an_event_time():
    """Hazards 1, 1 (events) and 2 (censored), all at time 3: denominators 4 and 4 - 1."""
    loss = cox_loss(torch.log(torch.tensor([1.0, 1.0, 2.0])), torch.tensor([3.0, 3.0, 3.0]), torch.tensor([1, 1, 0]))
    assert loss.item() == pytest.approx(np.log(4 * 3) / 2)


def test_gradient_equals_finite_differences():
    torch.manual_seed(0)
    log_hazard = torch.randn(12, dtype=torch.float64, requires_grad=True)
    time, event = torch.randint(1, 5, (12,)), torch.rand(12) < 0.6
    assert torch.autograd.gradcheck(lambda eta: cox_loss(eta, time, event), (log_hazard,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e3, 1e4])
def test_extreme_log_hazards_stay_finite(dtype, size):
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0, 1.0, -1.0], dtype=dtype)
    log_hazard = (signs * size).requires_grad_()
    time, event = torch.tensor([1, 1, 2, 2, 2, 3, 4]), torch.tensor([1, 1, 0, 1, 1, 0, 1])
    loss = cox_loss(log_hazard, time, event)
    loss.backward()
    assert loss.dtype == dtype
    assert torch.isfinite(loss)
    assert loss > 0.1 * size
    assert torch.isfinite(log_hazard.grad).all()


def test_what_sets_strata_apart_does_not_count():
    """A constant added to everybody of a stratum cancels in its risk sets."""
    torch.manual_seed(0)
    log_hazard, time, event = torch.randn(20).double(), torch.randint(1, 5, (20,)), torch.rand(20) < 0.6
    stratum = torch.arange(20) % 3
    moved = log_hazard + torch.tensor([0.0, 7.0, -50.0])[stratum]
    torch.testing.assert_close(cox_loss(moved, time, event, stratum), cox_loss(log_hazard, time, event, stratum))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_no_event_gives_a_zero_that_can_be_differentiated(n):
    log_hazard = torch.linspace(-1000, 1000, n).requires_grad_()
    loss = cox_loss(log_hazard, torch.arange(n), torch.zeros(n))
    loss.backward()
    assert loss.item() == 0
    assert not log_hazard.grad.any()


def test_float32_hazards_lose_nothing_to_rounding():
    torch.manual_seed(0)
    log_hazard, time, event = torch.randn(2_000) + 4096, torch.rand(2_000), torch.rand(2_000) < 0.3
    exact = cox_loss(log_hazard.double(), time, event)
    assert cox_loss(log_hazard, time, event).item() == pytest.approx(exact.item(), rel=2e-7)
