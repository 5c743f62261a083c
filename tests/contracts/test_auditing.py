"""Does every check have a page whose example it fails, and does a report keep what it found?"""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fusiondx as fdx
from fusiondx.auditing import CHECKS
from fusiondx.data.synthetic import simulate_null
from fusiondx.errors import ConfigError, DataError

PAGES = Path(__file__).parents[2] / "docs" / "audit"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_has_a_page_with_an_example_that_fails(check, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path))
    page = (PAGES / f"{check.code}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {check.code}: {check.title}\n\nSeverity: {check.severity}.\n")
    assert (
        f"| [{check.code}]({check.code}.md) | {check.title} | {check.severity} |" in (PAGES / "README.md").read_text()
    )
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(example, names)
    found = {finding.code: finding for finding in names["report"].findings}
    assert found[check.code].severity == check.severity
    assert f"{check.code} {check.severity}: " in capsys.readouterr().out


def test_codes_are_in_order_and_their_own():
    assert [check.code for check in CHECKS] == [f"FDX{k:03d}" for k in range(1, len(CHECKS) + 1)]


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_a_gap_in_any_column_that_tells_the_outcome_is_found(kind):
    rng, bad = np.random.default_rng(0), np.arange(80) % 2 == 0
    told = rng.normal(size=80) if kind == "numeric" else rng.choice(["f", "m"], 80)
    frame = pd.DataFrame(
        {
            "patient_id": [f"P{i:02}" for i in range(80)],
            "age": rng.normal(size=80),
            "grade": np.where(bad, "high", "low"),
        }
    ).assign(told=np.where(bad, None, told))
    table = {"numeric": ("age",), "categorical": ()}
    table[kind] += ("told",)
    cohort = fdx.Cohort.from_frame(
        frame, modalities={"clinical": fdx.Table(**table)}, targets={"grade": fdx.Classes("grade")}
    )
    found = {finding.code: finding.message for finding in fdx.audit(cohort, cohort.folds(3)).findings}
    assert "clinical.told and grade: low" in found["FDX015"]


def test_a_waiver_needs_a_code_and_a_reason_and_is_shown():
    cohort = simulate_null(60)
    plain = fdx.audit(cohort, cohort.folds(3))
    waived = fdx.audit(cohort, cohort.folds(3), waivers={"FDX016": "a pilot study"})
    assert [f.code for f in plain.open] == ["FDX016"]
    assert waived.open == ()
    assert "1 finding, 1 waived." in str(waived)
    assert "Waived: a pilot study" in waived.notes[0]
    frame = waived.frame()
    assert frame["code"].tolist() == [check.code for check in CHECKS]
    assert frame.dropna(subset="message")["waiver"].tolist() == ["a pilot study"]
    assert json.loads(waived.to_json())["findings"][0]["waiver"] == "a pilot study"
    with pytest.raises(ConfigError, match=r"no check 'FDX099'"):
        fdx.audit(cohort, cohort.folds(3), waivers={"FDX099": "x"})
    with pytest.raises(ConfigError, match="FDX016 is waived without a reason"):
        fdx.audit(cohort, cohort.folds(3), waivers={"FDX016": " "})


def test_an_error_that_is_open_is_not_ok():
    cohort = simulate_null(30)
    both = [(np.arange(30), np.arange(20, 30))]
    assert not fdx.audit(cohort, both).ok
    assert fdx.audit(cohort, both, waivers={"FDX001": "a test of the test"}).ok


def test_a_split_of_another_cohort_is_refused():
    cohort = simulate_null(60)
    with pytest.raises(DataError, match="positions beyond"):
        fdx.audit(cohort[:30], cohort.folds(3))
    with pytest.raises(DataError, match="not in the cohort"):
        fdx.audit(cohort[:30], cohort.split(0.5))


def test_folds_may_be_masks_or_count_from_the_end():
    cohort = simulate_null(60)
    first = np.arange(60) < 40
    plain = fdx.audit(cohort, [(np.arange(40), np.arange(40, 60))])
    assert fdx.audit(cohort, [(first, ~first)]) == fdx.audit(cohort, [(range(40), range(-20, 0))]) == plain
    found = fdx.audit(cohort, [(np.arange(60), [-1])]).findings[0]
    assert (found.code, found.patients) == ("FDX001", str(cohort.ids[-1]))
    for beyond in (-61, 60):
        with pytest.raises(DataError, match="positions beyond"):
            fdx.audit(cohort, [(np.arange(40), [beyond])])


def test_a_column_that_is_dated_must_be_there(tmp_path):
    cohort = simulate_null(60)
    with pytest.raises(ConfigError, match="no input column 'psa'"):
        fdx.audit(cohort, cohort.folds(3), index="os_months", dated={"psa": "os_months"})


def test_two_cohorts_are_a_split():
    cohort = simulate_null(60)
    train, test = cohort.split(0.5)
    assert fdx.audit(cohort, (train, test)).ok
