"""Are the losses of diagnosis and regression those of the papers, and the probabilities those of the likelihood?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from fusiondx.core.batch import Truth
from fusiondx.core.targets import Classes, Labels, Number, TargetValues
from fusiondx.errors import ConfigError
from fusiondx.heads import Corn, Diagnosis, MultiLabel, Ordinal, Regression
from fusiondx.heads.diagnosis import cross_entropy
from fusiondx.heads.ordinal import log_between

GRADES = ("I", "II", "III", "IV")
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.choice(4, 60, p=[0.5, 0.3, 0.15, 0.05])
LABEL[:4] = range(4)
TARGET = TargetValues(Classes("g", classes=GRADES, ordered=True), {"label": LABEL}, np.ones(60, bool), GRADES)
IDS = np.array([f"P{i}" for i in range(60)], dtype=object)


def truth(values: TargetValues) -> Truth:
    return Truth({n: torch.as_tensor(v) for n, v in values.fields.items()}, torch.as_tensor(values.known))


def fitted(spec: Any, x: np.ndarray, target: TargetValues) -> Any:
    """A head that has found its optimum on the inputs `x`."""
    torch.manual_seed(0)
    head, opinions = spec.build(target, x.shape[1]).double(), torch.as_tensor(x)[:, None]
    optimiser = torch.optim.LBFGS(
        head.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_change=1e-12
    )

    def closure() -> Any:
        optimiser.zero_grad()
        loss = head.loss(head(opinions)[:, 0], truth(target))
        loss.backward()
        return loss

    optimiser.step(closure)
    return head


def predicted(head: Any, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        answers = head(torch.as_tensor(x)[:, None])[:, 0].numpy()
    return np.asarray(head.predict(answers, IDS[: len(x)]).probability)


class TestDiagnosis:
    logits = torch.tensor(RANDOM.normal(size=(60, 4)) * 2)

    def test_no_settings_are_plain_cross_entropy(self) -> None:
        found = cross_entropy(self.logits, torch.as_tensor(LABEL), 0.0, 0.0)
        torch.testing.assert_close(found.mean(), functional.cross_entropy(self.logits, torch.as_tensor(LABEL)))

    def test_smoothing_is_torchs(self) -> None:
        found = cross_entropy(self.logits, torch.as_tensor(LABEL), 0.0, 0.2)
        expected = functional.cross_entropy(self.logits, torch.as_tensor(LABEL), label_smoothing=0.2)
        torch.testing.assert_close(found.mean(), expected)

    def test_focal_loss_is_lins(self) -> None:
        p = softmax(self.logits.numpy(), axis=1)[np.arange(60), LABEL]
        found = cross_entropy(self.logits, torch.as_tensor(LABEL), 2.0, 0.0)
        np.testing.assert_allclose(found.numpy(), -((1 - p) ** 2) * np.log(p))

    def test_balanced_weights_are_scikit_learns(self) -> None:
        expected = compute_class_weight("balanced", classes=np.arange(4), y=LABEL)
        found = Diagnosis(weights="balanced").build(TARGET, 3).weight.numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    def test_given_weights_keep_their_ratio_and_average_one(self) -> None:
        found = Diagnosis(weights={"IV": 5.0, "I": 0.5}).build(TARGET, 3).weight.numpy()
        np.testing.assert_allclose(found / found[1], [0.5, 1, 1, 5], rtol=1e-6)
        assert found[LABEL].mean() == pytest.approx(1)

    def test_weights_enter_the_loss(self) -> None:
        weight = compute_class_weight("balanced", classes=np.arange(4), y=LABEL)
        each = functional.cross_entropy(self.logits, torch.as_tensor(LABEL), reduction="none").numpy()
        found = Diagnosis(weights="balanced").build(TARGET, 3).loss(self.logits, truth(TARGET))
        assert found.item() == pytest.approx((weight[LABEL] * each).mean())

    def test_the_weight_of_an_unknown_class_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"no class 'V'.*Known: I, II, III, IV"):
            Diagnosis(weights={"V": 2.0}).build(TARGET, 3)


class TestOrdinal:
    x = RANDOM.normal(size=(60, 2)) + LABEL[:, None]

    def test_it_is_the_maximum_likelihood_of_proportional_odds(self) -> None:
        """The same likelihood written out, and left to SciPy."""

        def loss(beta: np.ndarray) -> float:
            above = expit((self.x @ beta[:2])[:, None] - np.cumsum([beta[2], *np.exp(beta[3:])]))
            edges = np.pad(above, ((0, 0), (1, 1)), constant_values=((0, 0), (1, 0)))
            return float(-np.log(-np.diff(edges)[np.arange(60), LABEL]).mean())

        best = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
        head = fitted(Ordinal(), self.x, TARGET)
        assert -np.log(predicted(head, self.x)[np.arange(60), LABEL]).mean() == pytest.approx(best.fun, abs=1e-6)

    @pytest.mark.parametrize("spec", [Ordinal(), Corn()])
    def test_without_inputs_it_predicts_the_frequencies(self, spec: Any) -> None:
        head = fitted(spec, np.zeros((60, 2)), TARGET)
        np.testing.assert_allclose(predicted(head, np.zeros((1, 2)))[0], np.bincount(LABEL) / 60, atol=1e-4)

    @pytest.mark.parametrize("spec", [Ordinal(), Corn()])
    def test_probabilities_are_proper_whatever_the_weights(self, spec: Any) -> None:
        head = spec.build(TARGET, 2).double()
        for parameter in head.parameters():
            torch.nn.init.normal_(parameter, std=5.0)
        found = predicted(head, self.x * 10)
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1)

    def test_two_classes_are_logistic_regression(self) -> None:
        two = TargetValues(
            Classes("g", classes=("a", "b"), ordered=True), {"label": (LABEL > 0) * 1}, TARGET.known, ("a", "b")
        )
        model = LogisticRegression(C=np.inf, tol=1e-10).fit(self.x, LABEL > 0)
        for spec in (Ordinal(), Corn()):
            found = predicted(fitted(spec, self.x, two), self.x)
            np.testing.assert_allclose(found, model.predict_proba(self.x), atol=1e-4)

    def test_the_log_of_a_small_difference_is_exact(self) -> None:
        upper, lower = torch.tensor([3.0, 40.0, -40.0]).double(), torch.tensor([2.0, 39.0, -41.0]).double()
        # far out, sigmoid(u) - sigmoid(l) is exp(-l) - exp(-u) on one side and exp(u) - exp(l) on the other
        far = np.log1p(-np.exp(-1.0))
        expected = [np.log(expit(3.0) - expit(2.0)), far - 39, far - 40]
        np.testing.assert_allclose(log_between(upper, lower).numpy(), expected, rtol=1e-12)

    def test_classes_without_an_order_are_refused(self) -> None:
        plain = TargetValues(Classes("g"), TARGET.fields, TARGET.known, GRADES)
        for spec in (Ordinal(), Corn()):
            with pytest.raises(ConfigError, match="ordered: true"):
                spec.build(plain, 2)


class TestMultiLabel:
    told = RANDOM.random((60, 3)) < 0.8
    label = RANDOM.integers(0, 2, (60, 3))
    target = TargetValues(Labels(("a", "b", "c")), {"label": label, "told": told}, told.any(axis=1), ("a", "b", "c"))

    def test_every_label_is_a_logistic_regression_on_those_in_whom_it_is_known(self) -> None:
        x = RANDOM.normal(size=(60, 2)) + self.label[:, :2]
        found = predicted(fitted(MultiLabel(), x, self.target), x)
        for j in range(3):
            here = self.told[:, j]
            model = LogisticRegression(C=np.inf, tol=1e-10).fit(x[here], self.label[here, j])
            np.testing.assert_allclose(found[:, j], model.predict_proba(x)[:, 1], atol=1e-3)

    def test_balanced_weights_are_scikit_learns(self) -> None:
        found = MultiLabel(balanced=True).build(self.target, 2).weight.numpy()
        for j in range(3):
            here = self.label[self.told[:, j], j]
            expected = compute_class_weight("balanced", classes=np.arange(2), y=here)
            np.testing.assert_allclose(found[:, j], expected, rtol=1e-6)


def test_regression_errors_are_those_named() -> None:
    value = np.array([1.0, 2.0, 3.0, 14.0])
    target = TargetValues(Number("v"), {"value": value}, np.ones(4, bool))
    scaled = (value - value.mean()) / value.std()
    zero = torch.zeros(4, 1, dtype=torch.float64)
    beyond = np.abs(scaled) > 0.5
    expected = {
        Regression(): (scaled**2).mean(),
        Regression(loss="absolute"): np.abs(scaled).mean(),
        Regression(loss="huber", delta=0.5): np.where(beyond, 0.5 * (np.abs(scaled) - 0.25), scaled**2 / 2).mean(),
    }
    for spec, wanted in expected.items():
        assert spec.build(target, 2).loss(zero, truth(target)).item() == pytest.approx(wanted)
