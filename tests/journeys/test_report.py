"""A report from results to table, JSON and page, and what a hostile name can do there: nothing."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from fusiondx.core.predictions import ClassPrediction, NumberPrediction, SurvivalPrediction
from fusiondx.core.targets import Classes, Number, Survival, TargetValues
from fusiondx.errors import ConfigError, RunError
from fusiondx.evaluation.estimate import Estimate, Undefined
from fusiondx.evaluation.score import difference, score
from fusiondx.experiment import running
from fusiondx.reporting import figures, panels
from fusiondx.reporting.failures import failure_frame
from fusiondx.reporting.report import FAILURES, Report, Result
from fusiondx.reporting.subgroups import group_names
from fusiondx.reporting.words import WIDTH, aligned, number, spread, title

MODELS = {
    "clinical + omics + mri (gated)": ("model", 0.9),
    "clinical + omics + mri (mean)": ("model", 0.8),
    "clinical only": ("modality", 0.6),
    "omics only": ("modality", 0.75),
    "mri only": ("modality", 0.2),
    "ridge Cox / logistic on the clinical table": ("baseline", 0.62),
}
ABC = ("astrocytoma", "oligodendroglioma", "glioblastoma")


def parts_of(kind, signal, patients=120, folds=1, classes=("no", "yes"), seed=0):
    """Simulated held-out sets in which a share `signal` of the prediction is the truth."""
    rng = np.random.default_rng(seed)  # the truth first, so that it is the same for every signal
    ids = np.array([f"SECRET-{i:04d}" for i in range(patients)], dtype=object)
    truth_of_all, latent = outcomes(kind, rng, patients, classes)
    said = signal * latent + (1 - signal) * rng.normal(size=latent.shape)
    rows = np.array_split(rng.permutation(patients), folds)
    return tuple((prediction(kind, ids[row], said[row], classes), truth_of_all[row]) for row in rows)


def outcomes(kind, rng, patients, classes):
    known = rng.random(patients) > 0.05
    if kind == "classes":
        label = rng.integers(len(classes), size=patients)
        latent = np.eye(len(classes))[label] * 2.0
        return TargetValues(Classes("column"), {"label": np.where(known, label, -1)}, known, classes), latent
    latent = rng.normal(size=patients)
    if kind == "number":
        value = np.where(known, 55 + 12 * latent, np.nan)
        return TargetValues(Number("age", "years"), {"value": value}, known), latent
    time, limit = rng.exponential(30 * np.exp(-latent)), rng.uniform(5, 90, patients)
    fields = {"time": np.ceil(np.minimum(time, limit)), "event": (time <= limit).astype(int)}
    return TargetValues(Survival("time", "event"), fields, known), latent


def prediction(kind, ids, said, classes):
    if kind == "classes":
        odds = np.exp(2 * said)
        return ClassPrediction(ids, classes, odds / odds.sum(axis=1, keepdims=True))
    if kind == "number":
        return NumberPrediction(ids, 55 + 12 * said, "years")
    return SurvivalPrediction(ids, said, np.array([1.0, 50.0]), np.full((len(ids), 2), 0.5))


def results_for(target, kind, names=MODELS, **settings):
    folds = settings.get("folds", 1)
    return tuple(
        Result(
            model=name,
            role=role,
            target=target,
            parts=(parts := parts_of(kind, signal, **settings)),
            estimates=score(parts, replicates=60),
            seconds=12.3,
            parameters=45_678,
            cuts=(0.0,) * folds if kind == "survival" else (),
        )
        for name, (role, signal) in names.items()
    )


def compared(results):
    """Paired differences of the first model from all others."""
    first, rows = results[0], []
    for other in results[1:]:
        metric = first.estimates[0].metric
        gap = difference(first.parts, other.parts, metric, replicates=60)
        row = {"model": first.model, "versus": other.model, "target": first.target, "metric": metric}
        rows.append(row | {"difference": gap.value, "low": gap.low, "high": gap.high, "n": gap.n})
    return rows


def report_of(*groups, **settings):
    history = pd.DataFrame({"epoch": range(1, 21), "train_loss": 1 / np.arange(1, 21)})
    history["validation_loss"] = history["train_loss"] + 0.1
    patterns = {"pattern": ["clinical + omics + mri", "clinical + omics"], "patients": [70, 50], "events": [31, 20]}
    given = {
        "title": "Glioma: survival and IDH1",
        "results": tuple(result for group in groups for result in group),
        "differences": pd.DataFrame([row for group in groups for row in compared(group)]),
        "patterns": pd.DataFrame(patterns),
        "history": {"clinical + omics + mri (gated)": history},
        "notes": ("These patients are simulated.", "2 constant columns were dropped: omics."),
        "manifest": {"fusiondx": "0.1.0", "seed": "0", "cohort": "3f9c2d"},
    }
    return Report(**given | settings)


@pytest.fixture(scope="module")
def full():
    """Every kind of target; several folds and a single test set; a metric that is undefined."""
    subtype = list(results_for("subtype", "classes", classes=ABC))
    nothing = Undefined("auroc", "no two classes among 4 patients", 4, None)
    subtype[-1] = replace(subtype[-1], estimates=(nothing, *subtype[-1].estimates[1:]))
    groups = results_for("survival", "survival", folds=5), results_for("idh1", "classes"), results_for("age", "number")
    report = report_of(*groups)
    return replace(report, results=(*report.results, *subtype))


@pytest.fixture(scope="module")
def page(full, tmp_path_factory):
    return full.to_html(tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.words, self.inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def assert_inert(text):
    """No script, no handler, nothing loaded, no link but within the page."""
    for tag, attributes in Reader(text).elements:
        assert tag not in {"script", "iframe", "object", "embed", "link", "img", "base", "form", "foreignobject"}
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name.endswith("href"):
                assert value.startswith("#"), (tag, value)
            if name == "style" or (name == "clip-path"):
                assert set(re.findall(r"url\((.)", value)) <= {"#"}, value
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in text


# --- the table ------------------------------------------------------------------------------------------------------


def test_frame_has_a_row_per_model_target_and_metric(full):
    frame = full.frame()
    assert len(frame) == sum(len(result.estimates) for result in full.results)
    assert not frame.duplicated(["model", "target", "metric"]).any()
    first = full.results[0].estimates[0]
    row = frame.iloc[0]
    assert (row["estimate"], row["low"], row["high"], row["n"]) == (first.value, first.low, first.high, first.n)


def test_frame_says_why_a_metric_is_undefined(full):
    undefined = full.frame().query("reason != ''")
    assert "auroc" in set(undefined["metric"])
    assert undefined[["estimate", "low", "high"]].isna().all(axis=None)
    assert undefined.set_index("metric")["reason"]["auroc"] == "no two classes among 4 patients"
    assert undefined["reason"].str.len().gt(10).all()
    assert not full.frame().map(lambda cell: isinstance(cell, str) and "nan" in cell.lower()).any(axis=None)


def test_text_lists_every_model_and_the_reason_of_what_is_undefined(full):
    text = str(full)
    for target in full.targets:
        lines = text.split(f"\n\n{target}\n")[1].split("\n\n")[0].splitlines()
        assert [line.startswith(name) for line, name in zip(lines[1:], MODELS, strict=False)] == [True] * len(MODELS)
    assert "AUROC undefined: no two classes among 4 patients" in text
    found = full.results[0].estimates[0]
    assert f"{number(found.value)} ({spread(found.low, found.high)})" in text


def test_text_fits_a_terminal_and_leaves_no_metric_out(full):
    text = str(full)
    assert max(len(line) for line in text.splitlines() if " undefined: " not in line) <= WIDTH
    for target in full.targets:
        part = text.split(f"\n\n{target}\n")[1]
        assert all(title(estimate.metric) in part for estimate in full.about(target)[0].estimates)


def test_a_column_wider_than_a_terminal_stands_alone():
    lines = list(aligned([["model", "a", "b"], ["x", "y" * 200, "z"]]))
    assert lines == ["model  a", "x      " + "y" * 200, "", "model  b", "x      z"]


def test_text_cannot_drive_a_terminal(full):
    hostile = replace(full.results[0], model="\x1b[2J\x07evil\r\n", target="\x9b31m")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", str(replace(full, results=(hostile,), title="\x1b]0;x\x07")))


def test_a_report_loads_no_drawing_library_until_it_is_drawn():
    code = "import sys, fusiondx.reporting.report; print({'matplotlib', 'jinja2', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


# --- JSON -----------------------------------------------------------------------------------------------------------


def test_json_brings_back_the_same_page(full, page, tmp_path):
    text = full.to_json(tmp_path / "report.json")
    restored = Report.from_json(tmp_path / "report.json")
    assert restored.to_json() == text
    assert restored.to_html(tmp_path / "restored.html").read_text(encoding="utf-8") == page
    pd.testing.assert_frame_equal(restored.frame(), full.frame())
    pd.testing.assert_frame_equal(restored.differences, full.differences)


def test_json_numbers_patients_alike_in_every_result(full, tmp_path):
    text = full.to_json(tmp_path / "report.json")
    assert "SECRET" not in text
    restored = Report.from_json(tmp_path / "report.json")
    first, second = (score(result.parts, replicates=20) for result in (full.results[0], restored.results[0]))
    assert first[0].value == second[0].value
    assert first[0].n == second[0].n
    gap = difference(restored.results[0].parts, restored.results[1].parts, "c_index", replicates=20)
    assert gap.value == pytest.approx(full.results[0].estimates[0].value - full.results[1].estimates[0].value)


def test_json_has_null_for_what_is_not_finite(full):
    odd = replace(full.results[0], estimates=(Estimate("c_index", 0.5, np.nan, np.inf, 3, 1, "by hand"),))
    record = json.loads(replace(full, results=(odd,)).to_json(), parse_constant=pytest.fail)
    assert record["results"][0]["estimates"][0]["low"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1, "title": "t"}'])
def test_a_damaged_report_is_refused_in_words(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(RunError, match=r"report\.json"):
        Report.from_json(tmp_path / "report.json")


def test_a_missing_report_is_refused_in_words(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        Report.from_json(tmp_path / "none.json")


# --- the page -------------------------------------------------------------------------------------------------------


def test_page_shows_every_number_of_the_report(full, page):
    text = Reader(page).text
    for row in json.loads(full.to_json())["results"]:
        for found in row["estimates"]:
            if "value" in found:
                shown = f"{number(found['value'])} ({spread(found['low'], found['high'])})"
                assert shown.replace("\u00a0", " ") in text


def test_page_is_inert_and_keeps_ids_to_itself(page):
    assert_inert(page)
    assert "SECRET" not in page


def test_page_is_accessible(page):
    elements = Reader(page).elements
    count = {tag: sum(t == tag for t, _ in elements) for tag, _ in elements}
    assert count["table"] == count["caption"]
    assert all(attributes.get("scope") in {"col", "row"} for tag, attributes in elements if tag == "th")
    drawings = [attributes for tag, attributes in elements if tag == "svg"]
    assert drawings
    assert all(svg["role"] == "img" and len(svg["aria-label"]) > 20 for svg in drawings)
    assert count["figure"] == count["svg"]
    names = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(names) == len(set(names))


def test_figures_of_several_targets_share_no_id(tmp_path):
    again = [
        replace(result, target=name)
        for kind in ("classes", "survival")
        for result in results_for(kind, kind)
        for name in (f"{kind} a", f"{kind} b")
    ]
    ids = re.findall(r'\bid="([^"]+)"', Report("Twice", tuple(again)).to_html(tmp_path / "x.html").read_text())
    assert len(ids) == len(set(ids)) > 20


def test_page_has_a_figure_for_every_kind_of_answer(page):
    text = Reader(page).text
    for heading in ("ROC curves", "Confusion matrix", "Kaplan-Meier by risk group", "Predicted and true values"):
        assert heading in text
    assert "Patients at risk" in text
    assert "log-rank p" in text
    assert "AUROC is undefined for ridge Cox / logistic on the clinical table: no two classes" in text


def test_page_carries_every_digit_of_the_report(full, page):
    shown = [dict(attributes) for tag, attributes in Reader(page).elements if tag == "data"]
    digits = {(d["value"], d.get("data-low"), d.get("data-high")) for d in shown}
    for row in json.loads(full.to_json())["results"]:
        for found in row["estimates"]:
            if "value" in found:
                assert tuple(repr(found[name]) for name in ("value", "low", "high")) in digits


def test_page_shows_the_core_set_first(page):
    titles = re.findall(r"<h3>(.*?)</h3>", page)
    assert {"Calibration", "Decision curve", "Predicted probabilities"} <= set(titles)
    assert titles.index("Calibration") < titles.index("AUROC of every model")


def test_sections_stand_in_the_order_of_reading(full, tmp_path):
    audit = pd.DataFrame(
        {"code": ["FDX001"], "title": ["t"], "severity": ["error"], "message": [None], "waiver": [None]}
    )
    use = {"target": "idh1", "modality": "mri", "change": "dropped", "metric": "auroc", "importance": 0.1, "low": -0.1}
    use |= {"high": 0.3, "n": 50, "events": 20, "verdict": "not shown to help", "model": "m"}
    worst = pd.DataFrame([("idh1", "m", "P1", "yes", "no (0.900)")], columns=list(FAILURES))
    whole = replace(full, audit=audit, modality_use=pd.DataFrame([use]), failures=worst)
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", whole.to_html(tmp_path / "r.html").read_text())
    wanted = [
        *("survival: prognosis", "idh1: diagnosis", "survival: over time", "survival: comparison"),
        *("Which modalities patients have", "Which modalities the model uses", "Failure cases", "Audit for leaks"),
        *("Training", "How this report was made", "Reporting checklists"),
    ]
    assert [heading for heading in headings if heading in wanted] == wanted
    titles = re.findall(r"<h3>(.*?)</h3>", (tmp_path / "r.html").read_text())
    assert {"A-calibration", "D-calibration", "Predicted probabilities at a horizon"} <= set(titles)


def test_a_clean_audit_is_shown_as_one(full, tmp_path):
    audit = pd.DataFrame(
        {"code": ["FDX001"], "title": ["t"], "severity": ["error"], "message": [None], "waiver": [None]}
    )
    text = Reader(replace(full, audit=audit).to_html(tmp_path / "r.html").read_text()).text
    assert "1 check of cohort and split made: 0 findings, 0 waived." in text
    assert "audited, 0 findings, 0 waived" in text
    assert "not audited" in Reader(full.to_html(tmp_path / "bare.html").read_text()).text


def test_a_ticked_item_is_linked_to_its_evidence(full, page):
    elements = Reader(page).elements
    contents = re.search(r"<nav.*?</nav>", page, re.S).group()
    every = [attributes["href"] for tag, attributes in elements if tag == "a"]
    links = every[contents.count("<a ") :]
    sections = {f"#{attributes['id']}" for tag, attributes in elements if tag == "section" and "id" in attributes}
    frame = full.checklists()
    assert set(frame["checklist"]) == {"TRIPOD+AI", "CLAIM", "REMARK", "PROBAST+AI"}
    assert len(links) == (frame["status"] == "shown").sum() > 10
    assert set(every) == sections
    assert links == frame.loc[frame["status"] == "shown", "anchor"].tolist()
    assert ((frame["evidence"] != "") == (frame["status"] == "shown")).all()
    bare = replace(full, manifest={}, patterns=pd.DataFrame(), history={})
    lost = ["How data were parted for development and evaluation", "Missing data", "Software and versions"]
    assert not bare.checklists().set_index("item").loc[lost, "evidence"].any()


def test_a_report_may_carry_audits_and_what_is_left_with_fewer_modalities(full, tmp_path):
    audit = pd.DataFrame(
        {"code": ["FDX003"], "title": ["t"], "severity": ["error"], "message": ["leak"], "waiver": [None]}
    )
    row = {"target": "idh1", "pattern": "mri", "metric": "auroc", "estimate": 0.71, "low": 0.6, "high": 0.8}
    row |= {"n": 40, "events": 12, "reason": "", "change": -0.1, "change_low": -0.2, "change_high": 0.0}
    carried = replace(full, audit=audit, degradation=pd.DataFrame([row]))
    path = carried.to_html(tmp_path / "carried.html")
    text = Reader(path.read_text(encoding="utf-8")).text
    assert "FDX003" in text
    assert "0.710 (0.600 to 0.800)" in text
    carried.to_json(tmp_path / "report.json")
    again = Report.from_json(tmp_path / "report.json").to_html(tmp_path / "again.html")
    assert again.read_text() == path.read_text()


def test_page_is_small_for_a_large_study(tmp_path):
    results = results_for("survival", "survival", patients=1000, folds=5) + results_for("age", "number", patients=1000)
    path = report_of(results[:6], results[6:]).to_html(tmp_path / "large.html")
    assert path.stat().st_size < 2_000_000


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    empty = Report("Nothing yet", ())
    for write in (empty.to_html, empty.to_json):
        with pytest.raises(RunError, match="could not be written"):
            write(tmp_path / "nowhere" / "report")


def test_fewer_failures_than_none_are_refused(full):
    assert failure_frame(full, 0).empty
    with pytest.raises(ConfigError, match="most=-1"):
        failure_frame(full, -1)


def test_groups_by_date_are_told_as_dates():
    days = pd.Series(pd.date_range("2001-01-01", periods=9)).mask(np.arange(9) == 8)
    assert group_names(days).unique().tolist() == ["at most 2001-01-04", "above 2001-01-04", "unknown"]


def test_every_prediction_is_kept_whatever_the_names(tmp_path):
    names = {"a": "b c", "a b": "c"}
    results = [replace(results_for(t, "survival", {m: ("model", 0.9)})[0], target=t) for m, t in names.items()]
    running.write(Report("Names", tuple(results)), tmp_path)
    assert sorted(file.name for file in (tmp_path / "predictions").iterdir()) == ["a-b-c-2.csv", "a-b-c.csv"]


def test_a_report_of_nothing_is_still_a_page(tmp_path):
    empty = Report("Nothing yet", ())
    assert_inert(empty.to_html(tmp_path / "empty.html").read_text())
    assert str(empty) == "Nothing yet"
    nobody = results_for("survival", "survival", {"only": ("model", 1.0)})
    said, truth = nobody[0].parts[0]
    unknown = TargetValues(truth.spec, truth.fields, np.zeros(len(truth), dtype=bool))
    nobody = (replace(nobody[0], parts=((said, unknown),), estimates=(Undefined("c_index", "nobody", 0, 0),)),)
    assert_inert(Report("Nobody", nobody).to_html(tmp_path / "nobody.html").read_text())


# --- the summary ----------------------------------------------------------------------------------------------------


def summary_with(low, high, tmp_path, metric="c_index", p_holm=None):
    model, modality = results_for("survival", "survival", {"fused": ("model", 0.9), "alone": ("modality", 0.5)})
    if metric != "c_index":
        swap = {"fused": 2.0, "alone": 3.0}
        model, modality = (
            replace(r, estimates=(Estimate(metric, swap[r.model], 1.0, 4.0, 10, 3, ""),)) for r in (model, modality)
        )
    row = {"model": "fused", "versus": "alone", "target": "survival", "metric": metric}
    gap = pd.DataFrame([row | {"difference": (low + high) / 2, "low": low, "high": high, "n": 120}])
    gap["p_holm"] = p_holm
    path = Report("t", (model, modality), gap).to_html(tmp_path / "r.html")
    return Reader(path.read_text()).text


def test_summary_does_not_oversell(tmp_path):
    assert "not shown to differ from the best single modality, alone" in summary_with(-0.01, 0.05, tmp_path)
    assert "better than the best single modality, alone" in summary_with(0.01, 0.05, tmp_path)
    assert "worse than the best single modality, alone" in summary_with(-0.05, -0.01, tmp_path)
    one_of_many = summary_with(0.01, 0.05, tmp_path, p_holm=0.104)
    assert "not shown to differ from the best single modality, alone, all comparisons counted" in one_of_many
    assert "better than" in summary_with(0.01, 0.05, tmp_path, p_holm=0.03)


def test_summary_knows_that_a_smaller_error_is_better(tmp_path):
    assert "better than the best single modality, alone" in summary_with(-2.0, -0.5, tmp_path, metric="mse")


def test_summary_says_that_the_best_of_several_is_flattered(page):
    assert "It is the best of 2 on these same patients, which flatters it." in Reader(page).text


# --- what the figures show ------------------------------------------------------------------------------------------


def test_area_under_the_drawn_curve_is_the_auroc(full):
    for result in full.about("idh1"):
        x, y = panels.roc(result)
        assert np.trapezoid(y, x) == pytest.approx(result.estimates[0].value, abs=1e-12)
    folded = results_for("idh1", "classes", folds=3)[0]
    x, y = panels.roc(folded)
    assert np.trapezoid(y, x) == pytest.approx(folded.estimates[0].value, abs=0.01)


def test_confusion_counts_each_patient_once(full):
    result = full.about("idh1")[0]
    twice = replace(result, parts=result.parts * 2)
    assert np.array_equal(panels.confusion(twice), panels.confusion(result))
    assert panels.confusion(result).sum() == result.parts[0][1].known.sum()


def test_risk_groups_use_each_fold_s_own_cut_point():
    parts = parts_of("survival", 0.9, folds=2)
    result = Result("m", "model", "t", parts, (), cuts=(-np.inf, np.inf))
    panel = panels.survival(result)
    high = panel.groups["High risk"]
    assert high.patients == parts[0][1].known.sum()
    assert high.at_risk[0] == high.patients
    assert panels.survival(replace(result, cuts=(None, None))) is None
    assert panels.survival(replace(result, cuts=(-np.inf, -np.inf))).test is None


def test_figures_are_the_same_each_time_and_carry_no_date(full):
    x, y = panels.roc(full.about("idh1")[0])
    lines = [figures.Line("_$x$ & <b>", "model", x, y)]
    first, again = (figures.roc(lines, "an alt text") for _ in range(2))
    assert first == again
    assert "metadata" not in first
    assert "_$x$ &amp; &lt;b&gt;" in first
    assert set(re.findall(r"https?://[^\"<\s]+", first)) == {"http://www.w3.org/2000/svg"}
    assert "currentColor" in first
    assert "var(--series-1" in first


def test_drawing_leaves_the_user_s_matplotlib_alone(full):
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"], before = "mine", matplotlib.rcParams["svg.hashsalt"]
    try:
        x, y = panels.roc(full.about("idh1")[0])
        figures.roc([figures.Line("m", "model", x, y)], "alt")
        assert matplotlib.rcParams["svg.hashsalt"] == "mine"
    finally:
        matplotlib.rcParams["svg.hashsalt"] = before


# --- hostile names --------------------------------------------------------------------------------------------------

EXECUTED = "document.documentElement.setAttribute('data-executed','yes')"
SHELLS = [
    "<script>{}</script>",
    "</script><script>{}</script>",
    "</style><script>{}</script>",
    "</title><script>{}</script>",
    "</svg><script>{}</script>",
    "</text></g></svg><img src=x onerror={}>",
    "<img src=x onerror={}>",
    '"><img src=x onerror={}>',
    "'><img src=x onerror={}>",
    '" onmouseover={} x="',
    "' autofocus onfocus={} x='",
    "<svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin={} attributeName=x dur=1s>",
    "<details open ontoggle={}>",
    "<body onload={}>",
    "<iframe srcdoc='<script>parent.{}</script>'>",
    "<iframe src=javascript:parent.{}>",
    "<a href=javascript:{} id=a>x</a>",
    "javascript:{}",
    "<math><mtext><script>{}</script>",
    "<style>*{{background:url('javascript:{}')}}</style>",
    "<input autofocus onfocus={}>",
    "<video><source onerror={}></video>",
    "<!--><script>{}</script>-->",
    "]]><script>{}</script>",
    "<![CDATA[</text><script>{}</script>]]>",
    "{{{{ ''.__class__ }}}}<script>{}</script>",
    "{{% raw %}}<script>{}</script>",
    "&lt;script&gt;{}&lt;/script&gt;",
    "&#60;script&#62;{}&#60;/script&#62;",
    "\x00<script>{}</script>",
    "<scr\x00ipt>{}</scr\x00ipt>",
    "\ud800<script>{}</script>",
    "$\\frac{{<script>{}</script>",
    "$x$ _<script>{}</script>",
    "_hidden<script>{}</script>",
    "\u202e<script>{}</script>",
    "\uff1cscript\uff1e{}\uff1c/script\uff1e",
    "\n\r\t<script>{}</script>\x0b",
    "<base href=//evil.example/><script>{}</script>",
    "<meta http-equiv=refresh content='0;url=javascript:{}'>",
    "<form><button formaction=javascript:{} autofocus>x",
    "<object data=javascript:{}>",
    "<embed src=javascript:{}>",
    "<link rel=stylesheet href=//evil.example/{}>",
    "<use href='data:image/svg+xml,<svg onload={}>'>",
    "<foreignObject><img src=x onerror={}></foreignObject>",
    "</caption></table><script>{}</script>",
    "日本語 🧠<script>{}</script>",
]
PADDING = ("", "x" * 300)
HOSTILE = [padding + shell.format(EXECUTED) for padding in PADDING for shell in SHELLS]


def hostile_target(few):
    """A diagnosis whose name, classes, models, metrics and reasons are hostile."""
    parts = parts_of("classes", 0.9, classes=tuple(few))
    found, nothing = Estimate("auroc", 0.8, 0.7, 0.9, 10, 4, few[1]), Undefined("auroc", few[2], 10, 4)
    roles = ("model", "modality", "baseline", "modality")
    return [
        Result(name, role, few[0], parts if i < 2 else (), (found if i < 3 else nothing, replace(found, metric=few[3])))
        for i, (name, role) in enumerate(zip(few, roles, strict=True))
    ]


def hostile_report():
    """A hundred hostile strings, each in every place where a name can stand."""
    assert len(set(HOSTILE)) == 100
    fours = [HOSTILE[start : start + 4] for start in range(0, 100, 4)]
    answers = [result for four in fours for result in hostile_target(four)]
    names = [Result("m", "model", text, (), ()) for text in HOSTILE if text not in {four[0] for four in fours}]
    said, truth = parts_of("number", 0.9)[0]
    of_unit = Estimate("mse", 1.0, 0.5, 2.0, 10, None, "")
    odd_unit = Result("m", "model", "n", ((replace(said, unit=" ".join(HOSTILE)), truth),), (of_unit,))
    tabular = [text for text in HOSTILE if "\ud800" not in text]  # a table cannot hold half a character
    row = {"model": HOSTILE[0], "versus": HOSTILE[1], "target": HOSTILE[0], "metric": "auroc"}
    curve = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5], "validation_loss": [1.0, 0.8]})
    return Report(
        title=" ".join(HOSTILE),
        results=(*answers, *names, odd_unit),
        differences=pd.DataFrame([row | {"difference": 0.1, "low": 0.0, "high": 0.2, "n": 10}]),
        patterns=pd.DataFrame({"pattern": tabular, HOSTILE[0]: 1, HOSTILE[5]: tabular}),
        history=dict.fromkeys(HOSTILE[:5], curve),
        notes=tuple(HOSTILE),
        manifest={text: text for text in HOSTILE},
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return hostile_report().to_html(tmp_path_factory.mktemp("hostile") / "report.html")


def test_hostile_names_stay_text(hostile):
    page = hostile.read_text(encoding="utf-8")
    assert_inert(page)
    text = Reader(page).text
    assert text.count(EXECUTED) > 5 * len(HOSTILE)
    assert "<script>" in text


def test_hostile_names_survive_json(tmp_path):
    report = hostile_report()
    report.to_json(tmp_path / "report.json")
    restored = Report.from_json(tmp_path / "report.json")
    assert [result.model for result in restored.results] == [result.model for result in report.results]


def test_hostile_names_execute_nothing_in_a_browser(hostile, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")

    def dump(path):
        switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        switches += " disable-component-update disable-sync enable-logging=stderr virtual-time-budget=2000 dump-dom"
        switches += f" log-net-log={tmp_path / 'network.json'}"
        command = [chromium, *(f"--{switch}" for switch in switches.split())]
        command += [f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        assert "evil.example" not in (tmp_path / "network.json").read_text(errors="replace")
        return done.stdout, done.stderr

    canary = tmp_path / "canary.html"  # the same page without its protection does execute
    canary.write_text(f"<!DOCTYPE html><html><body><script>{EXECUTED}; console.error('heard')</script></body></html>")
    shown, said = dump(canary)
    assert 'data-executed="yes"' in shown
    assert "CONSOLE" in said
    shown, said = dump(hostile)
    assert EXECUTED in shown
    assert "data-executed=" not in shown
    assert "CONSOLE" not in said
    unprotected = tmp_path / "unprotected.html"  # escaping alone must do, without the browser's policy
    page = hostile.read_text(encoding="utf-8")
    unprotected.write_text(re.sub(r"<meta http-equiv=[^>]*>", "", page, count=1), encoding="utf-8")
    assert "data-executed=" not in dump(unprotected)[0]


def test_members_are_curves_of_their_own():
    once = pd.DataFrame({"epoch": [0, 1, 2], "train_loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 2.5, 2.0]})
    twice = pd.concat([once.assign(fold=0, member=0), once.assign(fold=0, member=1)])
    lines = [figures.training(frame, "curve").count("clip-path=") for frame in (once, twice)]
    assert lines == [2, 4]
