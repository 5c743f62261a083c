"""Splits cover everybody once, keep groups whole, stay alike in strata and never crash on rare classes."""

import itertools
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusiondx.core.targets import Classes
from fusiondx.data import sites, splits
from fusiondx.data.cohort import Cohort
from fusiondx.data.reads import count_read, register, times_read
from fusiondx.data.tables import Table
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, RunError

strata_lists = st.lists(st.integers(-1, 3), min_size=10, max_size=60)


@settings(max_examples=60, deadline=None)
@given(strata_lists, st.floats(0.05, 0.95), st.integers(0, 99))
def test_holdout_covers_everybody_once(strata, test, seed):
    train, held = splits.holdout(np.array(strata), test, None, seed).pairs[0]
    assert sorted([*train, *held]) == list(range(len(strata)))
    assert abs(len(held) - test * len(strata)) <= 1


@settings(max_examples=60, deadline=None)
@given(strata_lists, st.integers(2, 10), st.integers(1, 3), st.integers(0, 99))
def test_folds_test_everybody_once_per_repeat(strata, k, repeats, seed):
    found = splits.folds(np.array(strata), k, repeats, None, seed).pairs
    assert len(found) == k * repeats
    for train, held in found:
        assert not set(train) & set(held)
        assert len(train) + len(held) == len(strata)
    for repeat in range(repeats):
        held = np.concatenate([h for _, h in found[repeat * k : (repeat + 1) * k]])
        assert sorted(held) == list(range(len(strata)))


@settings(max_examples=8, deadline=None)
@given(st.integers(4, 12), st.floats(0.1, 0.5), st.integers(0, 99))
def test_groups_stay_whole(groups, test, seed):
    random = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups), random.integers(0, groups, 80)]).astype(str)
    strata = random.integers(0, 2, len(group))
    train, held = splits.holdout(strata, test, group, seed).pairs[0]
    assert not set(group[train]) & set(group[held])
    assert sorted([*train, *held]) == list(range(len(group)))
    for train, held in splits.folds(strata, 3, 1, group, seed).pairs:
        assert not set(group[train]) & set(group[held])


def test_strata_are_alike():
    strata = np.repeat([0, 1], [80, 20])
    for _, held in splits.folds(strata, 5, 1, None, 0).pairs:
        assert strata[held].sum() == 4
    _, held = splits.holdout(strata, 0.25, None, 0).pairs[0]
    assert strata[held].sum() == 5


def test_repeats_differ_and_seeds_repeat():
    strata = np.zeros(30, dtype=int)
    first, second = (splits.folds(strata, 3, 2, None, 1).pairs for _ in range(2))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0][1], first[3][1])


def test_pooled_joins_the_rare_to_the_largest():
    assert list(splits.pooled(np.array([0, 0, 0, 1, 2, 2]), 2)) == [0, 0, 0, 0, 2, 2]


def test_two_groups_of_unequal_size_hold_out_the_one_nearer_to_the_share():
    group = np.repeat(["large", "small"], [70, 30])
    train, held = splits.holdout(np.zeros(100, dtype=int), 0.2, group, 0).pairs[0]
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


# -- whole sites -------------------------------------------------------------------------------------------------------


def test_allocation_is_as_good_as_trying_every_partition():
    random = np.random.default_rng(0)
    for _ in range(4):
        group = random.integers(0, 7, 60).astype(str)
        strata = random.integers(0, 2, 60)
        counts, shares = sites.table(strata, group), np.full(3, 1 / 3)
        found = sites.allocate(strata, group, shares, 0)
        every = itertools.product(range(3), repeat=len(counts))
        best = min(badness(counts, np.array(parts), 3) for parts in every if len(set(parts)) == 3)
        # the tangents and the seed's say each cost a little
        assert best <= badness(counts, found.part, 3) <= best + sites.GAP * (1 + best) + sites.VARIETY + 0.002


def badness(counts, part, k):
    """Mean squared relative deviation from equal parts."""
    held = np.stack([counts[part == fold].sum(axis=0) for fold in range(k)])
    return np.mean((held / (counts.sum(axis=0) / k) - 1) ** 2)


def test_forty_sites_take_seconds_and_balance_size_and_outcome():
    random = np.random.default_rng(1)
    group = np.repeat(np.arange(40), random.integers(3, 30, 40)).astype(str)
    event = (random.random(len(group)) < 0.3).astype(int)
    started = time.process_time()
    drawn = splits.folds(event, 5, 1, group, 0)
    assert time.process_time() - started < 6, "twice what is promised, for machines that are busy"
    assert drawn.gap is not None
    assert drawn.gap <= 0.002
    for values in (np.ones(len(group)), event):
        held = np.array([values[test].sum() for _, test in drawn.pairs])
        assert np.abs(held / held.mean() - 1).max() < 0.1


def test_folds_are_site_preserved_unless_told_otherwise():
    whole = cohort()
    for train, held in whole.folds(5):
        assert not set(whole.site[train]) & set(whole.site[held])
    assert whole.folds(5).gap is not None
    train, test = whole.split(0.2)
    assert not set(train.site) & set(test.site)
    mixed = whole.folds(5, group=None)
    assert mixed.gap is None
    assert any(set(whole.site[train]) & set(whole.site[held]) for train, held in mixed)


def test_too_few_sites_are_said_and_not_preserved():
    whole = cohort()
    with pytest.warns(FusionDxWarning, match="5 sites do not fill 6 parts"):
        assert len(whole.folds(6)) == 6
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole.folds(6, group=None)
        whole[np.flatnonzero(whole.site == "s1")].split(0.5)  # one site is no choice


def test_repeats_that_cannot_differ_are_said():
    two = cohort()[np.flatnonzero(np.isin(cohort().site, ["s1", "s2"]))]
    with pytest.warns(FusionDxWarning, match="only 1 of 3 repeats differ"):
        two.folds(2, 3)


def test_a_test_part_far_from_what_was_asked_is_said():
    group = np.repeat(["large", "small"], [70, 30])
    with pytest.warns(FusionDxWarning, match="a test part of 30% of the patients, not of 5%"):
        splits.holdout(np.zeros(100, dtype=int), 0.05, group, 0)


def test_many_groups_are_dealt_out_one_by_one():
    group = np.arange(400).astype(str)
    drawn = splits.folds(np.resize([0, 1], 400), 4, 1, group, 0)
    assert [len(held) for _, held in drawn.pairs] == [100] * 4
    assert len(splits.holdout(np.resize([0, 1], 400), 0.25, group, 0).pairs[0][1]) == 100


# -- time --------------------------------------------------------------------------------------------------------------


def dated(when):
    table = pd.DataFrame({"patient_id": [f"P{i}" for i in range(len(when))], "x": range(len(when)), "when": when})
    return Cohort.from_frame(table, modalities={"t": Table(numeric=("x",))})


def test_a_split_in_time_trains_on_the_past():
    years = dated([2010, 2011, 2012, 2013, 2014])
    train, test = years.split_by_time("when", 2013)
    assert (list(train.ids), list(test.ids)) == (["P0", "P1", "P2"], ["P3", "P4"])
    train, test = years.split_by_time("when", 2013, gap=1)
    assert (list(train.ids), list(test.ids)) == (["P0", "P1"], ["P3", "P4"])


def test_a_split_in_time_reads_dates():
    days = dated(["2015-01-30", "2015-02-01", "2015-02-28 12:00", "2015-03-01"])
    train, test = days.split_by_time("when", "2015-03-01", gap=28)
    assert (list(train.ids), list(test.ids)) == (["P0"], ["P3"])


@pytest.mark.parametrize(
    ("when", "at", "gap", "error", "said"),
    [
        ([2010, 2011], 2009, 0, DataError, "No patient is before"),
        ([2010, 2011], 2012, 0, DataError, "No patient is at or after"),
        ([2010, 2011], 2011, -1, ConfigError, "gap=-1"),
        ([2010, None], 2010, 0, DataError, "1 patient with neither a number nor a date .*: P1"),
        (["2015-02-30", "2015-03-01"], "2015-03-01", 0, DataError, "P0"),
        (["2015-02-20", "2015-03-01"], 2015, 0, ConfigError, "holds dates"),
        ([2010, 2011], "soon", 0, ConfigError, "holds numbers"),
    ],
)
def test_mistakes_in_time_are_named(when, at, gap, error, said):
    with pytest.raises(error, match=said):
        dated(when).split_by_time("when", at, gap=gap)


# -- files -------------------------------------------------------------------------------------------------------------


def test_folds_in_a_file_are_the_same_for_any_order_of_rows(tmp_path):
    whole = cohort()
    drawn = whole.folds(3, seed=4)
    drawn.save(tmp_path / "folds.json")
    drawn.save(tmp_path / "folds.json")  # the same again is no harm
    shuffled = whole[np.random.default_rng(0).permutation(len(whole))]
    read = shuffled.folds(file=tmp_path / "folds.json")
    assert read.sha256 == drawn.sha256 == shuffled.folds(3, seed=4).sha256
    assert read.settings == {"k": 3, "repeats": 1, "group": "auto", "stratify": None, "seed": 4}
    for (_, one), (_, other) in zip(drawn, read, strict=True):
        assert set(whole.ids[one]) == set(shuffled.ids[other])
    assert whole.folds(3, seed=5).sha256 != drawn.sha256


def test_a_split_file_that_cannot_be_trusted_is_refused(tmp_path):
    whole, path = cohort(), tmp_path / "folds.json"
    whole.folds(3).save(path)
    with pytest.raises(RunError, match="holds another split"):
        whole.folds(3, seed=1).save(path)
    with pytest.raises(ConfigError, match="holds 3 folds, not one split"):
        whole.split(file=path)
    with pytest.raises(DataError, match="not in the cohort: P"):
        whole[:50].folds(file=path)
    path.write_text(path.read_text().replace('"P07"', '"P7"'))
    with pytest.raises(DataError, match="was changed after it was written"):
        whole.folds(file=path)
    for text in ("{", "[]", '{"format": 1}', '{"format": 1, "settings": {}, "sha256": "", "folds": [{"train": 3}]}'):
        path.write_text(text)
        with pytest.raises(DataError, match=r"not JSON text|no split file"):
            whole.folds(file=path)
    with pytest.raises(DataError, match="cannot be read"):
        whole.folds(file=tmp_path / "absent.json")
    with pytest.raises(RunError, match="cannot be written"):
        whole.folds(3).save(tmp_path / "absent" / "folds.json")


def test_patients_a_split_file_does_not_name_are_counted(tmp_path):
    whole = cohort()
    whole[:50].folds(3).save(tmp_path / "folds.json")
    with pytest.warns(FusionDxWarning, match="does not name 10 patients: P50"):
        whole.folds(file=tmp_path / "folds.json")


def test_a_test_set_counts_how_often_it_is_read(tmp_path):
    whole, path = cohort(), tmp_path / "split.json"
    train, test = whole.split(0.2, save=path)
    assert count_read(train) is None
    assert times_read(test) == []
    assert count_read(test) == "The test set of split.json was read 1 time."
    assert count_read(test[:3]) == "The test set of split.json was read 1 time.", "a part has a count of its own"
    _, again = whole.split(file=path)
    said = count_read(again[::-1])
    assert said is not None
    assert said.startswith("The test set of split.json was read 2 times, the first time on ")
    assert len(times_read(test)) == 2
    register(path).write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        count_read(test)
    register(path).write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        times_read(test)
