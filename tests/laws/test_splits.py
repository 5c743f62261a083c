"""Splits cover everybody once, keep groups whole, stay alike in strata and never crash on rare classes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusiondx.core.targets import Classes
from fusiondx.data import splits
from fusiondx.data.cohort import Cohort
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, DataError

strata_lists = st.lists(st.integers(-1, 3), min_size=10, max_size=60)


@settings(max_examples=60, deadline=None)
@given(strata_lists, st.floats(0.05, 0.95), st.integers(0, 99))
def test_holdout_covers_everybody_once(strata, test, seed):
    train, held = splits.holdout(np.array(strata), test, None, seed)
    assert sorted([*train, *held]) == list(range(len(strata)))
    assert abs(len(held) - test * len(strata)) <= 1


@settings(max_examples=60, deadline=None)
@given(strata_lists, st.integers(2, 10), st.integers(1, 3), st.integers(0, 99))
def test_folds_test_everybody_once_per_repeat(strata, k, repeats, seed):
    found = splits.folds(np.array(strata), k, repeats, None, seed)
    assert len(found) == k * repeats
    for train, held in found:
        assert not set(train) & set(held)
        assert len(train) + len(held) == len(strata)
    for repeat in range(repeats):
        held = np.concatenate([h for _, h in found[repeat * k : (repeat + 1) * k]])
        assert sorted(held) == list(range(len(strata)))


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 12), st.floats(0.1, 0.5), st.integers(0, 99))
def test_groups_stay_whole(groups, test, seed):
    random = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups), random.integers(0, groups, 80)]).astype(str)
    strata = random.integers(0, 2, len(group))
    train, held = splits.holdout(strata, test, group, seed)
    assert not set(group[train]) & set(group[held])
    assert sorted([*train, *held]) == list(range(len(group)))
    for train, held in splits.folds(strata, 3, 1, group, seed):
        assert not set(group[train]) & set(group[held])


def test_strata_are_alike():
    strata = np.repeat([0, 1], [80, 20])
    for _, held in splits.folds(strata, 5, 1, None, 0):
        assert strata[held].sum() == 4
    _, held = splits.holdout(strata, 0.25, None, 0)
    assert strata[held].sum() == 5


def test_repeats_differ_and_seeds_repeat():
    strata = np.zeros(30, dtype=int)
    first, second = (splits.folds(strata, 3, 2, None, 1) for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0][1], first[3][1])


def test_pooled_joins_the_rare_to_the_largest():
    assert list(splits.pooled(np.array([0, 0, 0, 1, 2, 2]), 2)) == [0, 0, 0, 0, 2, 2]


def test_two_groups_of_unequal_size_hold_out_the_one_nearer_to_the_share():
    group = np.repeat(["large", "small"], [70, 30])
    train, held = splits.holdout(np.zeros(100, dtype=int), 0.2, group, 0)
    assert set(group[held]) == {"small"}
    assert set(group[train]) == {"large"}


def cohort(n=60):
    table = pd.DataFrame(
        {
            "patient_id": [f"P{i:02d}" for i in range(n)],
            "x": np.arange(n),
            "y": np.resize(["a", "a", "b"], n),
            "site": np.resize(["s1", "s2", "s3", "s4", "s5"], n),
            "set": np.resize(["train", "valid", "test", "train", ""], n),
            "fold": np.resize(["0.0", "1.0", "2.0", ""], n),
        }
    )
    spec = {"modalities": {"t": Table(numeric=("x",))}, "targets": {"y": Classes(column="y")}, "site": "site"}
    return Cohort.from_frame(table, **spec)


@pytest.mark.parametrize("group", [None, "site", "fold"])
def test_the_order_of_rows_does_not_change_who_is_tested(group):
    ordered = cohort()
    shuffled = ordered[np.random.default_rng(3).permutation(len(ordered))]
    for one, other in zip(ordered.split(0.3, group=group), shuffled.split(0.3, group=group), strict=True):
        assert set(one.ids) == set(other.ids)
    for one, other in zip(ordered.folds(3, group=group), shuffled.folds(3, group=group), strict=True):
        assert set(ordered.ids[one[1]]) == set(shuffled.ids[other[1]])


def test_predefined_split():
    whole = cohort()
    train, test = whole.split(column="set", train=["train", "valid"], test=["test"])
    assert set(train.column("set")) == {"train", "valid"}
    assert set(test.column("set")) == {"test"}
    assert len(train) + len(test) == 48


def test_predefined_folds_train_on_those_without_one():
    whole = cohort()
    found = whole.folds(column="fold")
    assert len(found) == 3
    blank = set(np.flatnonzero(whole.column("fold") == ""))
    for number, (train, held) in enumerate(found):
        assert set(whole.column("fold")[held]) == {f"{number}.0"}
        assert blank <= set(train)
        assert len(train) + len(held) == len(whole)


def test_mistakes_are_named():
    whole = cohort()
    with pytest.raises(ConfigError, match=r"no 'tests'\. Did you mean 'test'"):
        whole.split(column="set", train=["train"], test=["tests"])
    with pytest.raises(ConfigError, match="both in train and in test"):
        whole.split(column="set", train=["train"], test=["train"])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        whole.split(test=1.5)
    with pytest.raises(ConfigError, match="needs its values"):
        whole.split(column="set")
    with pytest.raises(ConfigError, match="need a column"):
        whole.split(train=["a"], test=["b"])
    with pytest.raises(DataError, match="6 folds of 5 groups"):
        whole.folds(6, group="site")
    with pytest.raises(DataError, match=r"no column 'sit'\. Did you mean 'site'"):
        whole.folds(3, group="sit")
    with pytest.raises(ConfigError, match="no target 'z'"):
        whole.folds(3, stratify="z")
