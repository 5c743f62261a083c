"""Do parallel fits give the numbers of serial ones, in order, with their warnings and errors?"""

import os
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import fusiondx as fdx
from fusiondx.errors import ConfigError, DataError, FusionDxWarning
from fusiondx.parallel import cores, each, threads_per_job
from fusiondx.validation import cross_validate


def square(number):
    warnings.warn(f"warned of {number}", FusionDxWarning, stacklevel=1)
    if number < 0:
        raise DataError(f"{number} is below zero.")
    return number**2, os.getpid(), torch.get_num_threads()


def test_results_come_in_order_from_other_processes_with_their_share_of_threads():
    with pytest.warns(FusionDxWarning) as told:
        found = list(each(square, [(n,) for n in range(5)], jobs=2))
    assert [number for number, _, _ in found] == [0, 1, 4, 9, 16]
    assert os.getpid() not in {process for _, process, _ in found}
    assert {threads for _, _, threads in found} == {max(1, cores() // 2)} == {threads_per_job(2)}
    assert [str(w.message) for w in told] == [f"warned of {n}" for n in range(5)]


@pytest.mark.filterwarnings("ignore::fusiondx.errors.FusionDxWarning")
def test_one_job_works_here_and_errors_come_as_they_are():
    assert {process for _, process, _ in each(square, [(1,), (2,)])} == {os.getpid()}
    for jobs in (1, 2):
        with pytest.raises(DataError, match="-1 is below zero"):
            list(each(square, [(1,), (-1,)], jobs))
    with pytest.raises(ConfigError, match="jobs is 0"):
        list(each(square, [(1,)], 0))


@pytest.mark.slow  # two processes import all of the library
def test_parallel_folds_give_the_numbers_of_serial_ones_bit_for_bit():
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(40, 3)), columns=["a", "b", "c"]).astype("float32")
    table = table.assign(patient_id=[f"P{n}" for n in range(40)], y=np.where(table["a"] > 0, "yes", "no"))
    cohort = fdx.Cohort.from_frame(
        table,
        modalities={"first": fdx.Table(numeric=("a", "b")), "second": fdx.Table(numeric=("c",))},
        targets={"y": fdx.Classes("y")},
    )
    model = fdx.FusionModel(dim=4, training=fdx.Training(epochs=2))
    before = torch.get_num_threads()
    torch.set_num_threads(threads_per_job(2))
    try:
        serial, parallel = (cross_validate(model, cohort, 2, replicates=20, jobs=jobs) for jobs in (1, 2))
    finally:
        torch.set_num_threads(before)
    pd.testing.assert_frame_equal(serial.frame(), parallel.frame(), check_exact=True)
    pd.testing.assert_frame_equal(serial.differences, parallel.differences, check_exact=True)
    for name, history in serial.history.items():
        pd.testing.assert_frame_equal(history, parallel.history[name], check_exact=True)
    for mine, theirs in zip(serial.results, parallel.results, strict=True):
        assert all(
            np.array_equal(a.probability, b.probability)
            for (a, _), (b, _) in zip(mine.parts, theirs.parts, strict=True)
        )
