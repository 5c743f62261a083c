"""Are the likelihoods of prognosis what they say, and the curves those that follow from them?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from fusiondx.core.batch import Truth
from fusiondx.core.predictions import CompetingPrediction
from fusiondx.core.targets import CompetingRisks, Survival, TargetValues
from fusiondx.errors import DataError, FusionDxWarning
from fusiondx.evaluation.discrimination import concordance
from fusiondx.evaluation.score import score
from fusiondx.heads import Cox, DeepHit, Hazards, Piecewise
from fusiondx.heads.causes import incidence
from fusiondx.survival import bins
from fusiondx.survival.estimators import breslow, kaplan_meier

N = 80
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 2))
DEATH, LEFT = RANDOM.exponential(np.exp(-X[:, 0])) * 20, RANDOM.exponential(30, N)
TIME, EVENT = np.minimum(DEATH, LEFT).round(2) + 0.01, (DEATH <= LEFT).astype(int)
TARGET = TargetValues(Survival("t", "e"), {"time": TIME, "event": EVENT}, np.ones(N, bool))
CAUSE = EVENT * RANDOM.integers(1, 3, N)
CAUSES = ("relapse", "death")
COMPETING = TargetValues(CompetingRisks("t", "e", CAUSES), {"time": TIME, "event": CAUSE}, np.ones(N, bool), CAUSES)
IDS = np.array([f"P{i:02d}" for i in range(N)], dtype=object)


def truth(values: TargetValues) -> Truth:
    return Truth({n: torch.as_tensor(v) for n, v in values.fields.items()}, torch.as_tensor(values.known))


def fitted(spec: Any, x: np.ndarray, target: TargetValues) -> Any:
    torch.manual_seed(0)
    head, opinions = spec.build(target, x.shape[1]).double(), torch.as_tensor(x)[:, None]
    settings: dict[str, Any] = {"max_iter": 1000, "line_search_fn": "strong_wolfe", "tolerance_change": 1e-12}
    optimiser = torch.optim.LBFGS(head.parameters(), **settings)

    def closure() -> Any:
        optimiser.zero_grad()
        loss = head.loss(head(opinions)[:, 0], truth(target))
        loss.backward()
        return loss

    optimiser.step(closure)
    return head


def answers_of(head: Any, x: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(head(torch.as_tensor(x)[:, None])[:, 0].numpy())


class TestBins:
    def test_every_bin_holds_as_many_events(self) -> None:
        ends = bins.event_quantiles(TIME, EVENT, 5)
        held = np.bincount(bins.bin_of(TIME[EVENT == 1], ends), minlength=5)
        assert held.max() - held.min() <= 1
        assert ends[-1] == TIME[EVENT == 1].max()

    def test_ties_leave_no_bin_without_width(self) -> None:
        ends = bins.event_quantiles([1, 1, 1, 1, 1, 1, 2, 3, 9], [1, 1, 1, 1, 1, 1, 1, 1, 0], 4)
        assert (np.diff(ends, prepend=0) > 0).all()
        assert ends[-1] == 3

    def test_events_at_time_0_alone_are_refused(self) -> None:
        with pytest.raises(DataError, match="after time 0"):
            bins.event_quantiles([0, 0, 4], [1, 1, 0], 3)

    def test_curves_go_straight_between_the_ends(self) -> None:
        ends = np.array([1.0, 4.0])
        np.testing.assert_allclose(bins.fine(ends), [*np.arange(1, 11) / 10, *(1 + 0.3 * np.arange(1, 11))])
        np.testing.assert_allclose(bins.refined(np.array([[2.0, 3.0]]))[0][[4, 9, 14, 19]], [1, 2, 2.5, 3])


class TestHazards:
    def test_the_likelihood_is_the_sum_over_the_bins_lived_through(self) -> None:
        head, logits = Hazards(bins=6).build(TARGET, 2), RANDOM.normal(size=(N, 6))
        ends = head.ends.numpy()
        total = 0.0
        for i in range(N):
            start = 0.0
            for j, end in enumerate(ends):
                if EVENT[i] and start < TIME[i] <= end:
                    total += np.log(expit(logits[i, j]))
                elif TIME[i] > end if EVENT[i] else TIME[i] >= (start + end) / 2:
                    total += np.log(1 - expit(logits[i, j]))
                start = end
        assert head.loss(torch.tensor(logits), truth(TARGET)).item() == pytest.approx(-total / N)

    def test_each_bin_is_a_logistic_regression_of_those_who_reach_it(self) -> None:
        head = fitted(Hazards(bins=3), X, TARGET)
        found, ends = answers_of(head, X), head.ends.numpy()
        for j, (start, end) in enumerate(zip([0, *ends[:2]], ends, strict=True)):
            middle = (start + end) / 2
            met = (EVENT == 1) & (start < TIME) & (end >= TIME)
            reached = met | np.where(EVENT == 1, end < TIME, middle <= TIME)
            model = LogisticRegression(C=np.inf, tol=1e-10).fit(X[reached], met[reached])
            np.testing.assert_allclose(found[:, j], model.decision_function(X), atol=1e-3)

    def test_without_inputs_and_censoring_curves_are_kaplan_meiers_at_the_ends(self) -> None:
        target = TargetValues(TARGET.spec, {"time": DEATH, "event": np.ones(N, int)}, TARGET.known)
        head = fitted(Hazards(bins=8), np.zeros((N, 2)), target)
        answers = answers_of(head, np.zeros((N, 2)))
        head.settle(answers, target)
        ends = head.ends.numpy()[:-1]  # at the last end nobody is left, which no logit says
        expected = kaplan_meier(DEATH, np.ones(N)).at(ends)
        np.testing.assert_allclose(head.predict(answers, IDS).survival(ends)[0], expected, atol=1e-4)

    def test_it_starts_from_the_frequencies(self) -> None:
        head = Hazards(bins=4).build(TARGET, 2)
        start = head.loss(head.output.bias.detach().expand(N, 4), truth(TARGET)).item()
        best = fitted(Hazards(bins=4), np.zeros((N, 2)), TARGET)
        assert start == pytest.approx(
            best.loss(torch.as_tensor(answers_of(best, X * 0)), truth(TARGET)).item(), abs=0.01
        )


class TestPiecewise:
    def test_the_likelihood_is_log_rates_less_cumulative_hazards(self) -> None:
        head, ratios = Piecewise(bins=6).build(TARGET, 2), RANDOM.normal(size=(N, 6))
        ends, rate = head.ends.numpy(), head.rate.numpy()
        total = 0.0
        for i in range(N):
            start = 0.0
            for j, end in enumerate(ends):
                total -= max(0.0, min(TIME[i], end) - start) * rate[j] * np.exp(ratios[i, j])
                if EVENT[i] and start < TIME[i] <= end:
                    total += np.log(rate[j]) + ratios[i, j]
                start = end
        assert head.loss(torch.tensor(ratios), truth(TARGET)).item() == pytest.approx(-total / N)

    def test_without_inputs_rates_are_events_over_exposure(self) -> None:
        head = fitted(Piecewise(bins=5), np.zeros((N, 2)), TARGET)
        ends = head.ends.numpy()
        start = np.array([0, *ends[:-1]])
        met = ((TIME[:, None] > start) & (TIME[:, None] <= ends) & (EVENT[:, None] == 1)).sum(axis=0)
        spent = (np.minimum(TIME[:, None], ends) - start).clip(min=0).sum(axis=0)
        found = np.exp(answers_of(head, np.zeros((1, 2)))[0]) * head.rate.numpy()
        np.testing.assert_allclose(found, met / spent, rtol=1e-4)

    def test_the_unit_of_time_does_not_count(self) -> None:
        days = TargetValues(TARGET.spec, {"time": TIME * 30, "event": EVENT}, TARGET.known)
        torch.manual_seed(0)
        one = Piecewise(bins=5).build(TARGET, 2)
        torch.manual_seed(0)
        other = Piecewise(bins=5).build(days, 2)
        answers = RANDOM.normal(size=(N, 5)).astype(np.float32)
        a, b = one.predict(answers, IDS), other.predict(answers, IDS)
        np.testing.assert_allclose(a.curves, b.curves)
        np.testing.assert_allclose(a.times * 30, b.times)
        np.testing.assert_allclose(a.risk, b.risk)

    def test_where_hazards_are_proportional_risks_are_log_hazard_ratios(self) -> None:
        head, eta = Piecewise(bins=5).build(TARGET, 2), RANDOM.normal(size=N)
        shape = RANDOM.normal(size=5)
        answers = shape + eta[:, None]
        head.settle(answers, TARGET)
        np.testing.assert_allclose(head.predict(answers, IDS).risk, eta - eta.mean())

    def test_curves_are_those_of_the_rates(self) -> None:
        head = Piecewise(bins=2).build(TARGET, 2)
        head.ends, head.rate = torch.tensor([2.0, 6.0]).double(), torch.tensor([0.1, 0.5]).double()
        found = head.predict(np.log([[2.0, 1.0]]), IDS[:1])
        np.testing.assert_allclose(found.survival([1, 2, 4, 6, 99])[0], np.exp([-0.2, -0.4, -1.4, -2.4, -2.4]))


class TestStrata:
    stratum = np.arange(N) % 3
    fields = {"time": TIME, "event": EVENT, "stratum": stratum}
    target = TargetValues(Survival("t", "e", strata="site"), fields, np.ones(N, bool), ("a", "b", "c"))

    def test_each_stratum_has_its_own_baseline(self) -> None:
        head, eta = Cox().build(self.target, 2), X[:, :1]
        head.settle(eta, self.target)
        names = np.array(["a", "b", "c"], dtype=object)[self.stratum]
        found = head.predict_within(eta, IDS, names)
        for s in range(3):
            mine = self.stratum == s
            times, hazard = breslow(eta[mine, 0], TIME[mine], EVENT[mine])
            expected = np.exp(-np.exp(eta[mine]) * hazard)
            np.testing.assert_allclose(found.take(mine).survival(times), expected)

    def test_an_unknown_stratum_gets_everybodys(self) -> None:
        head, eta = Cox().build(self.target, 2), X[:, :1]
        head.settle(eta, self.target)
        with pytest.warns(FusionDxWarning, match="never saw.*: d"):
            found = head.predict_within(eta[:2], IDS[:2], np.array(["d", ""], dtype=object))
        plain = Cox().build(TARGET, 2)
        plain.settle(eta, TARGET)
        np.testing.assert_allclose(found.curves, plain.predict(eta[:2], IDS[:2]).curves)


class TestDeepHit:
    def test_of_one_cause_it_is_the_discrete_time_likelihood(self) -> None:
        """A softmax over bins and none says the same as the hazards that follow from it."""
        one = TargetValues(CompetingRisks("t", "e", ("death",)), TARGET.fields, TARGET.known, ("death",))
        head, logits = DeepHit(bins=6, ranking=0).build(one, 2), RANDOM.normal(size=(N, 7))
        p = softmax(logits, axis=1)
        open_ = 1 - np.cumsum(p, axis=1)[:, :-1] + p[:, :-1]
        hazard = p[:, :-1] / open_
        expected = Hazards(bins=6).build(TARGET, 2).loss(torch.tensor(np.log(hazard / (1 - hazard))), truth(TARGET))
        assert head.loss(torch.tensor(logits), truth(one)).item() == pytest.approx(expected.item())

    def test_the_likelihood_written_out(self) -> None:
        head, logits = DeepHit(bins=4, ranking=0).build(COMPETING, 2), RANDOM.normal(size=(N, 9))
        ends, log_p, total = head.ends.numpy(), log_softmax(logits, axis=1), 0.0
        start = np.array([0, *ends[:-1]])
        for i in range(N):
            if CAUSE[i]:
                j = int(np.flatnonzero((start < TIME[i]) & (ends >= TIME[i]))[0])
                total += log_p[i, (CAUSE[i] - 1) * 4 + j]
            else:
                later = (start + ends) / 2 > TIME[i]
                total += np.log(np.exp(log_p[i])[np.r_[later, later, True]].sum())
        assert head.loss(torch.tensor(logits), truth(COMPETING)).item() == pytest.approx(-total / N)

    def test_the_ranking_loss_written_out(self) -> None:
        logits, expected = RANDOM.normal(size=(N, 9)), 0.0
        head = DeepHit(bins=4, ranking=0.7, sigma=0.3).build(COMPETING, 2)
        plain = DeepHit(bins=4, ranking=0).build(COMPETING, 2)
        by_then = softmax(logits, axis=1)[:, :-1].reshape(N, 2, 4).cumsum(axis=2)
        place = np.searchsorted(head.ends.numpy(), TIME)
        for k in range(2):
            pairs = [
                np.exp(-(by_then[i, k, place[i]] - by_then[j, k, place[i]]) / 0.3)
                for i in range(N)
                for j in range(N)
                if CAUSE[i] == k + 1 and TIME[i] < TIME[j]
            ]
            expected += 0.7 * float(np.mean(pairs))
        found = [h.loss(torch.tensor(logits), truth(COMPETING)).item() for h in (head, plain)]
        assert found[0] - found[1] == pytest.approx(expected)

    def test_without_inputs_and_censoring_incidences_are_frequencies(self) -> None:
        cause = 1 + (np.arange(N) % 3 == 0)
        target = TargetValues(COMPETING.spec, {"time": DEATH, "event": cause}, COMPETING.known, CAUSES)
        head = fitted(DeepHit(bins=5, ranking=0), np.zeros((N, 2)), target)
        found = head.predict(answers_of(head, np.zeros((1, 2))), IDS[:1])
        ends = head.ends.numpy()
        for k, name in enumerate(CAUSES, start=1):
            expected = [((end >= DEATH) & (cause == k)).mean() for end in ends]
            np.testing.assert_allclose(found.cumulative_incidence(name, ends)[0], expected, atol=1e-3)

    def test_chances_of_all_causes_never_exceed_1(self) -> None:
        head = DeepHit().build(COMPETING, 2)
        found = head.predict(RANDOM.normal(size=(N, 21)) * 30, IDS)
        assert (np.diff(found.incidence, axis=2) >= -1e-12).all()
        assert (found.incidence.sum(axis=1) <= 1 + 1e-12).all()


class TestCompeting:
    prediction = CompetingPrediction.of_incidence(
        IDS, CAUSES, np.array([1.0, 2.0, 4.0]), RANDOM.random((N, 2, 3)).cumsum(axis=2) / 8, "months"
    )

    def test_time_lost_is_the_area_under_the_incidence(self) -> None:
        grid = np.linspace(0, 4, 40_001)[:-1]
        area = self.prediction.cumulative_incidence("death", grid).mean(axis=1) * 4
        np.testing.assert_allclose(self.prediction.of_cause("death").risk, area, rtol=1e-3)

    def test_the_c_index_of_a_cause_takes_others_as_censored(self) -> None:
        risk = self.prediction.risk
        each = [concordance(risk[:, k], TIME, k + 1 == CAUSE) for k in range(2)]
        (found,) = score([(self.prediction, COMPETING)], replicates=2)
        assert found.metric == "mean_cause_c_index"
        assert found.value == pytest.approx(np.mean(each))  # type: ignore[union-attr]
        one, *_ = score([(self.prediction.of_cause("death"), COMPETING.of_cause("death"))], replicates=2)
        assert one.value == pytest.approx(each[1])  # type: ignore[union-attr]

    def test_incidences_from_hazards_and_survival_make_1(self) -> None:
        steps = RANDOM.random((N, 3, 6))
        found = incidence(steps)
        survival = np.exp(-steps.sum(axis=1).cumsum(axis=1))
        np.testing.assert_allclose(found.sum(axis=1) + survival, 1)

    def test_constant_hazards_give_the_exponential_incidence(self) -> None:
        """Rates a and b: F_a(t) = a / (a + b) (1 - exp(-(a + b) t))."""
        steps = np.tile(np.array([0.02, 0.05])[None, :, None], (1, 1, 7))
        t = np.arange(1, 8)
        np.testing.assert_allclose(incidence(steps)[0, 0], 0.02 / 0.07 * (1 - np.exp(-0.07 * t)))
