"""Metrics of a confusion matrix, and of numbers, against scikit-learn and hand-worked cases."""

import numpy as np
import pytest
from sklearn import metrics as sk

from fusiondx.evaluation import classification as ours
from fusiondx.evaluation.deviation import mean_absolute_error, mean_squared_error, r_squared


def cases(classes, seed):
    rng = np.random.default_rng(seed)
    for _ in range(100):
        n = rng.integers(3, 30)
        label, predicted, counts = rng.integers(0, classes, n), rng.integers(0, classes, n), rng.integers(0, 3, n)
        if set(label[counts > 0]) == set(range(classes)):
            yield label, predicted, counts


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classification_equals_scikit_learn(classes):
    seen = 0
    average = "binary" if classes == 2 else "macro"
    for label, predicted, counts in cases(classes, seed=classes):
        confusion = ours.confusion_matrix(label, predicted, classes, counts)
        given = {"y_true": label, "y_pred": predicted, "sample_weight": counts}
        np.testing.assert_array_equal(confusion, sk.confusion_matrix(**given, labels=range(classes)))
        assert float(ours.accuracy(confusion)) == pytest.approx(sk.accuracy_score(**given))
        assert float(ours.balanced_accuracy(confusion)) == pytest.approx(sk.balanced_accuracy_score(**given))
        for name in ("recall", "precision", "f1"):
            never = np.nan if name == "precision" and classes == 2 else 0
            expected = getattr(sk, f"{name}_score")(**given, average=average, zero_division=never)
            assert float(getattr(ours, name)(confusion)) == pytest.approx(expected, nan_ok=True)
        assert float(ours.matthews_correlation(confusion)) == pytest.approx(sk.matthews_corrcoef(**given)) or (
            sk.matthews_corrcoef(**given) == 0
        )
        seen += 1
    assert seen > 10


def test_positive_class_is_the_last_of_two():
    confusion = np.array([[5.0, 1.0], [2.0, 2.0]])  # true class first
    assert ours.recall(confusion) == 2 / 4
    assert ours.precision(confusion) == 2 / 3
    assert ours.f1(confusion) == pytest.approx(2 * 2 / (3 + 4))


def test_what_one_class_cannot_give_is_nan_without_a_warning(recwarn):
    negatives = np.array([[4.0, 1.0], [0.0, 0.0]])
    for metric in (ours.recall, ours.precision, ours.f1, ours.balanced_accuracy):
        assert np.isnan(metric(negatives))
    assert ours.accuracy(negatives) == 0.8
    assert np.isnan(ours.accuracy(np.zeros((2, 2))))
    for metric in (ours.precision, ours.matthews_correlation):
        assert np.isnan(metric(np.array([[3.0, 0.0], [2.0, 0.0]])))  # never called
    assert ours.precision(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 1.0, 0.0]])) == pytest.approx(
        (1 + 2 / 3) / 3
    )
    assert not recwarn.list


def test_macro_leaves_out_classes_that_do_not_occur():
    confusion = np.array([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
    assert ours.recall(confusion) == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert ours.precision(confusion) == pytest.approx((3 / 3 + 2 / 2) / 2)


def test_deviation_equals_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.normal(1e3, 1, 50)
    value, counts = truth + rng.normal(size=50), rng.integers(0, 3, 50)
    for weight in (None, counts):
        given = truth, value
        expected = sk.mean_squared_error(*given, sample_weight=weight)
        assert float(mean_squared_error(value, truth, weight)) == pytest.approx(expected)
        expected = sk.mean_absolute_error(*given, sample_weight=weight)
        assert float(mean_absolute_error(value, truth, weight)) == pytest.approx(expected)
        assert float(r_squared(value, truth, weight)) == pytest.approx(sk.r2_score(*given, sample_weight=weight))


def test_r_squared_of_equal_truths_is_undefined(recwarn):
    value, truth = np.array([1.0, 2.0, 3.0]), np.full(3, 0.1)
    assert np.isnan(r_squared(value, truth))
    one_drawn = np.concatenate([times * np.eye(3) for times in range(1, 50)])
    assert np.isnan(r_squared(value, np.array([0.1, 0.7, 1e5 / 3]), one_drawn)).all()
    assert not recwarn.list
