"""Is a stack a model like any other, and does it weigh its members as it says?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

import fusiondx as fdx
from fusiondx.classical.model import ClassicalModel
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, RunError
from fusiondx.plain import answers_of, plain_head
from fusiondx.stacking.blend import fit_blend
from fusiondx.stacking.member import Recipe
from fusiondx.stacking.stack import covered, parent, patterns

PATIENTS = 90
QUICK = fdx.Training(epochs=2)
TABLES = {"clinical": fdx.Table(numeric=("age",), categorical=("sex",)), "omics": fdx.Genomics(columns=("g*",))}
TARGETS = {
    "survival": fdx.Survival("months", "died"),
    "label": fdx.Classes("label", ("no", "yes")),
    "course": fdx.CompetingRisks("months", "cause", ("relapse", "death")),
    "marks": fdx.Labels(("m1", "m2")),
    "level": fdx.Number("level"),
}

pytestmark = pytest.mark.filterwarnings("ignore::fusiondx.errors.FusionDxWarning")


def frame(seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    factor = random.normal(size=PATIENTS)
    death, leaving = random.exponential(size=PATIENTS) * np.exp(-factor), random.exponential(size=PATIENTS) * 2
    table = pd.DataFrame(random.normal(size=(PATIENTS, 6)), columns=[f"g{j}" for j in range(6)])
    table["g0"] += factor
    made = table.assign(
        patient_id=[f"P{row:03d}" for row in range(PATIENTS)],
        age=60 + 10 * factor + 5 * random.normal(size=PATIENTS),
        sex=random.choice(["f", "m"], PATIENTS),
        months=np.minimum(death, leaving),
        died=(death <= leaving).astype(int),
        cause=np.where(death <= leaving, random.integers(1, 3, PATIENTS), 0),
        label=np.where(factor + random.normal(size=PATIENTS) > 0, "yes", "no"),
        m1=(factor > 0).astype(int),
        m2=random.integers(0, 2, PATIENTS),
        level=3 + factor,
    )
    made.loc[:14, [c for c in made if c.startswith("g")]] = np.nan
    made.loc[10:12, ["age"]] = np.nan
    made.loc[10:12, ["sex"]] = None  # nothing known of these three
    return made


def cohort(seed: int = 0, **changed: Any) -> fdx.Cohort:
    settings: dict[str, Any] = {"modalities": TABLES, "targets": TARGETS, **changed}
    return fdx.Cohort.from_frame(frame(seed), **settings)


@pytest.fixture(scope="module")
def whole() -> fdx.Cohort:
    return cohort()


@pytest.fixture(scope="module")
def fitted(whole: fdx.Cohort) -> fdx.Stack:
    return fdx.Stack(training=QUICK).fit(whole)


def test_it_answers_every_kind_of_question_for_everybody(fitted: fdx.Stack, whole: fdx.Cohort) -> None:
    said = fitted.predict(whole)
    assert list(said) == list(TARGETS)
    for target, prediction in said.items():
        assert list(prediction.ids) == list(whole.ids), target
        numbers = prediction.to_frame().select_dtypes("number").replace(np.inf, 0).to_numpy()
        assert np.isfinite(numbers).all(), target
    assert fitted.predict_proba(whole).sum(axis=1) == pytest.approx(1)
    curves = fitted.predict_survival(whole, [0, 1, 2])
    assert (np.diff(curves, axis=1) <= 0).all()
    assert fitted.score(whole) > 0.6


def test_a_patient_alone_gets_what_they_get_among_others(fitted: fdx.Stack, whole: fdx.Cohort) -> None:
    together = fitted.predict(whole)
    order = np.random.default_rng(0).permutation(len(whole))
    shuffled = fitted.predict(whole[order])
    for row in (0, 11, 40):
        alone = fitted.predict(whole[[row]])
        for target, prediction in alone.items():
            ours = together[target].to_frame().iloc[[row]]
            pd.testing.assert_frame_equal(prediction.to_frame(), ours, rtol=1e-4, atol=1e-6)
            theirs = shuffled[target].to_frame().loc[ours.index]
            pd.testing.assert_frame_equal(theirs, ours, rtol=1e-4, atol=1e-6)


def test_of_somebody_unknown_it_says_what_is_true_of_all(fitted: fdx.Stack, whole: fdx.Cohort) -> None:
    assert whole.pattern[11] == "none"
    yes = (whole.targets["label"].fields["label"] == 1).mean()
    assert fitted.predict_proba(whole)[11, 1] == pytest.approx(yes, abs=0.02)


ASKED = {"survival": None, "label": "yes", "course": "relapse", "marks": "m1", "level": None}


@pytest.mark.parametrize("target", ASKED)
def test_it_is_explained_by_modality(fitted: fdx.Stack, whole: fdx.Cohort, target: str) -> None:
    some = whole[[0, 11, 40]]  # without genes, without anything, with both
    found = fitted.explain(some, target, label=ASKED[target])
    added = found.modalities.pivot(index="patient_id", columns="modality", values="contribution").loc[list(some.ids)]
    value, nothing = found.values["value"], found.values["with_nothing"]
    np.testing.assert_allclose(added.sum(axis=1), value - nothing, atol=1e-9)
    assert added.loc["P000", "omics"] == 0
    assert (added.loc["P011"] == 0).all()
    # of two modalities, the mean of what one adds alone and of what it adds to the other
    from_one = {
        name: fitted.explain(some[[2]].select(modalities=[name]), target, label=ASKED[target]).values["value"][0]
        for name in TABLES
    }
    expected = ((from_one["clinical"] - nothing[2]) + (value[2] - from_one["omics"])) / 2
    assert added.loc["P040", "clinical"] == pytest.approx(expected, abs=1e-6)
    assert abs(expected) > 1e-4


def test_a_stacks_card_says_what_it_leaves_out(fitted: fdx.Stack, whole: fdx.Cohort, tmp_path: Path) -> None:
    again = fdx.Stack.load(fitted.save(tmp_path / "stack"))
    page, picture = again.explain(whole[:2], "survival").card("P001").save(tmp_path / "cards")
    text = page.read_text()
    assert "explained by modality alone" in text
    assert "integrated gradients" not in text
    assert "nearest" not in text.lower()
    assert PIL.Image.open(picture).size[0] > 1000
    with pytest.raises(NotFittedError, match="not fitted"):
        fdx.Stack().explain(whole)
    with pytest.raises(ConfigError, match="Did you mean 'label'"):
        fitted.explain(whole, "lable")


def test_weights_are_non_negative_and_by_pattern(fitted: fdx.Stack) -> None:
    weights = fitted.weights_
    assert (weights["weight"] >= 0).all()
    assert set(weights["modalities"]) == {"clinical", "omics", "clinical+omics"}
    alone = weights[weights["modalities"] == "clinical"]
    assert "ridge of omics" not in set(alone["member"])
    assert set(weights["target"]) == set(TARGETS)


def test_same_seed_same_numbers(fitted: fdx.Stack, whole: fdx.Cohort) -> None:
    one = whole.select(targets=["label"])
    first, again = clone(fitted).fit(one), clone(fitted).fit(one)
    np.testing.assert_array_equal(first.predict_proba(one), again.predict_proba(one))


def test_saved_and_loaded_it_says_the_same(fitted: fdx.Stack, whole: fdx.Cohort, tmp_path: Path) -> None:
    loaded = fdx.Stack.load(fitted.save(tmp_path / "stack"))
    ours, theirs = fitted.predict(whole), loaded.predict(whole)
    for target, prediction in ours.items():
        pd.testing.assert_frame_equal(theirs[target].to_frame(), prediction.to_frame())
    pd.testing.assert_frame_equal(loaded.weights_, fitted.weights_)
    with pytest.raises(RunError, match="exists"):
        fitted.save(tmp_path / "stack")
    loaded.save(tmp_path / "stack", overwrite=True)
    (tmp_path / "stack" / "arrays.safetensors").write_bytes(b"no arrays")
    with pytest.raises(RunError, match="whole saved stack"):
        fdx.Stack.load(tmp_path / "stack")


def test_targets_may_be_called_anything_when_saved(whole: fdx.Cohort, tmp_path: Path) -> None:
    asked = {"a": TARGETS["label"], "a/0": TARGETS["level"], "0": TARGETS["marks"]}
    odd = cohort(targets=asked)
    stack = fdx.Stack(training=QUICK).fit(odd)
    loaded = fdx.Stack.load(stack.save(tmp_path / "stack"))
    for target, prediction in stack.predict(odd).items():
        pd.testing.assert_frame_equal(loaded.predict(odd)[target].to_frame(), prediction.to_frame())


def test_a_saved_stack_that_was_tampered_with_is_refused(fitted: fdx.Stack, tmp_path: Path) -> None:
    place = fitted.save(tmp_path / "stack") / "stack.json"
    said = json.loads(place.read_text())
    said["members"][0]["answers"][0] = "lable"
    place.write_text(json.dumps(said))
    with pytest.raises(RunError, match="do not belong"):
        fdx.Stack.load(tmp_path / "stack")
    said["members"][0]["learner"] = "os.system"
    place.write_text(json.dumps(said))
    with pytest.raises(ConfigError, match="learner"):
        fdx.Stack.load(tmp_path / "stack")
    place.write_text(json.dumps({**said, "format": 2}))
    with pytest.raises(RunError, match="format 3"):
        fdx.Stack.load(tmp_path / "stack")


def test_images_are_looked_at_whole_and_cut_to_the_tumour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fusiondx.stacking.describing.packaged", lambda: False)
    random = np.random.default_rng(0)
    table = frame().head(40)
    for row, name in enumerate(table["patient_id"]):
        pixels, mask = random.integers(0, 200, (24, 24), dtype=np.uint8), np.zeros((24, 24), np.uint8)
        mask[8:16, 8:16] = 255
        pixels[8:16, 8:16] //= 1 + (table["label"].iloc[row] == "yes")
        PIL.Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        PIL.Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
    table = table.assign(
        image=[f"{n}.png" for n in table["patient_id"]], mask=[f"{n}_mask.png" for n in table["patient_id"]]
    )
    modalities = {"clinical": TABLES["clinical"], "photo": fdx.Image(path="image", mask="mask", size=24)}
    images = fdx.Cohort.from_frame(table, modalities=modalities, targets={"label": TARGETS["label"]}, data=tmp_path)
    stack = fdx.Stack(training=QUICK).fit(images)
    assert "ridge of photo: radiomics" in stack.members_
    assert stack.score(images) > 0.8
    loaded = fdx.Stack.load(stack.save(tmp_path / "stack"))
    np.testing.assert_allclose(loaded.predict_proba(images), stack.predict_proba(images))


class Shy(BaseEstimator):
    """A model of a user's own."""

    def fit(self, cohort: fdx.Cohort, y: Any = None) -> Shy:
        self.inner_ = ClassicalModel(("clinical",)).fit(cohort)
        return self

    def predict(self, cohort: fdx.Cohort) -> Any:
        return self.inner_.predict(cohort)


def test_models_of_the_users_own_may_join_but_not_be_saved(whole: fdx.Cohort, tmp_path: Path) -> None:
    mine = whole.select(targets=["label"])
    stack = fdx.Stack(models={"mine": Shy()}, training=QUICK).fit(mine)
    assert "mine" in set(stack.weights_["member"])
    for given, noun in (
        (stack, "Shy"),
        (fdx.Stack(models={"mine": fdx.Stack(training=QUICK)}, training=QUICK), "Stack"),
    ):
        with pytest.raises(ConfigError, match=rf"models\.mine: .* FusionModels only, and this is a {noun}\."):
            given.fit(mine).save(tmp_path / "stack")
    with pytest.raises(ConfigError, match="Choose another"):
        fdx.Stack(models={"trees of all": Shy()}, training=QUICK).fit(mine)


class Witness(BaseEstimator):
    """A model that remembers what it was shown."""

    shown: ClassVar[list[dict[str, str]]] = []

    def fit(self, cohort: fdx.Cohort, y: Any = None) -> Witness:
        self.shown.append({name: modality.spec.kind for name, modality in cohort.modalities.items()})
        self.inner_ = fdx.FusionModel({"slides": fdx.GatedAttention()}, training=QUICK).fit(cohort)
        return self

    def predict(self, cohort: fdx.Cohort) -> Any:
        self.shown.append({name: modality.spec.kind for name, modality in cohort.modalities.items()})
        return self.inner_.predict(cohort)


def test_models_of_the_users_own_see_the_modalities_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONDX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fusiondx.stacking.describing.packaged", lambda: False)
    random = np.random.default_rng(0)
    table = frame().head(40)
    for name in table["patient_id"]:
        np.save(tmp_path / f"{name}.npy", random.normal(size=(6, 4)).astype(np.float32))
        PIL.Image.fromarray(random.integers(0, 200, (16, 16), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    table = table.assign(bag=[f"{n}.npy" for n in table["patient_id"]], image=[f"{n}.png" for n in table["patient_id"]])
    modalities = {"slides": fdx.Bag(path="bag"), "photo": fdx.Image(path="image", size=16)}
    images = fdx.Cohort.from_frame(table, modalities=modalities, targets={"label": TARGETS["label"]}, data=tmp_path)
    Witness.shown.clear()
    stack = fdx.Stack(models={"mine": Witness()}, training=QUICK).fit(images)
    assert {"mine", "ridge of slides: patches", "ridge of photo: radiomics"} < set(stack.members_)
    stack.predict(images)
    both = {"slides": "bag", "photo": "image"}
    assert Witness.shown[:3] == [both] * 3  # fitted
    assert Witness.shown[-3:] == [both] * 3  # asked about everybody
    assert all(shown.items() <= both.items() for shown in Witness.shown)  # parts, to weigh it


def test_mistakes_are_told_before_anything_is_trained(whole: fdx.Cohort) -> None:
    with pytest.raises(ConfigError, match="effort"):
        fdx.Stack("heroic").fit(whole)  # pyright: ignore
    with pytest.raises(ConfigError, match=r"seed: -1\. Give a whole number"):
        fdx.Stack(seed=-1).fit(whole)
    with pytest.raises(ConfigError, match=r"training: got dict"):
        fdx.Stack(training={"epochs": 2}).fit(whole)  # pyright: ignore
    with pytest.raises(ConfigError, match=r"models: got list\. Give models by name"):
        fdx.Stack(models=[fdx.FusionModel()]).fit(whole)  # pyright: ignore
    with pytest.raises(ConfigError, match=r"models\.mine: 'ridge' is no estimator"):
        fdx.Stack(models={"mine": "ridge"}).fit(whole)
    with pytest.raises(NotFittedError):
        fdx.Stack().predict(whole)
    with pytest.raises(DataError, match="Expected a Cohort"):
        fdx.Stack().fit(np.zeros((3, 2)))
    with pytest.raises(DataError, match="no targets"):
        fdx.Stack().fit(whole.select(targets=[]))


def test_settings_inside_are_set_and_seen_as_those_of_other_models() -> None:
    mine = fdx.FusionModel(fusion=fdx.Gated(), training=QUICK)
    stack = fdx.Stack(models={"mine": mine}, training=QUICK)
    stack.set_params(training__epochs=1, models__mine__seed=3, models__mine__fusion__dropout=0.3, effort="thorough")
    assert (stack.training, stack.effort) == (QUICK.replace(epochs=1), "thorough")
    seen = stack.get_params()
    assert (seen["models__mine__seed"], seen["models__mine__fusion__dropout"]) == (3, 0.3)
    assert (mine.seed, mine.fusion) == (0, fdx.Gated())
    assert clone(stack).get_params()["models__mine__training__epochs"] == 2
    with pytest.raises(ValueError, match=r"Stack has no parameter 'sed'\. Did you mean 'seed'"):
        stack.set_params(sed=1)


def test_best_is_a_stack() -> None:
    best = fdx.FusionModel.best("thorough", seed=3)
    assert isinstance(best, fdx.Stack)
    assert (best.effort, best.seed) == ("thorough", 3)


def test_a_member_that_cannot_be_fitted_is_left_out_aloud(whole: fdx.Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ClassicalModel, cohort: fdx.Cohort) -> ClassicalModel:
        raise DataError("nothing to learn")

    monkeypatch.setattr(ClassicalModel, "fit", fail)
    with pytest.warns(FusionDxWarning, match="left out of the stack: nothing to learn"):
        stack = fdx.Stack(training=QUICK).fit(whole.select(targets=["label"]))
    assert list(stack.members_) == ["network of all"]


COLUMNS = {
    "survival": ["months", "died"],
    "course": ["months", "cause"],
    "marks": ["m1", "m2"],
    "level": ["level"],
}


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("target", COLUMNS)
def test_a_member_says_nothing_of_a_target_its_patients_do_not_know(target: str, known: int, tmp_path: Path) -> None:
    table = frame()
    table.loc[:44, [c for c in table if c.startswith("g")]] = np.nan
    table[COLUMNS[target]] = table[COLUMNS[target]].astype(object)
    table.loc[45 + known :, COLUMNS[target]] = None  # those with genes, but for none or one
    asked = {"label": TARGETS["label"], target: TARGETS[target]}
    disjoint = fdx.Cohort.from_frame(table, modalities=TABLES, targets=asked)
    stack = fdx.Stack(training=QUICK).fit(disjoint)
    genes = stack.members_["ridge of omics"].fits[0]
    assert list(genes.answers_) == list(asked)[: 1 + known]
    mine = stack.weights_[stack.weights_["target"] == target]
    assert "ridge of clinical" in set(mine["member"])
    assert mine.loc[mine["member"] == "ridge of omics", "weight"].sum() == 0
    said = stack.predict(disjoint)[target].to_frame()
    assert np.isfinite(said.select_dtypes("number").replace(np.inf, 0)).all(axis=None)
    loaded = fdx.Stack.load(stack.save(tmp_path / "stack"))
    pd.testing.assert_frame_equal(loaded.predict(disjoint)[target].to_frame(), said)


def test_a_table_that_tells_nobody_apart_is_left_out_aloud_or_silent_in_an_inner_fold() -> None:
    table = frame().assign(flat=1.0, rare=0.0)
    table.loc[3, "rare"] = 1.0
    extra = {name: fdx.Table(numeric=(name,)) for name in ("flat", "rare")}
    asked = {"label": TARGETS["label"]}
    odd = fdx.Cohort.from_frame(table, modalities={"clinical": TABLES["clinical"], **extra}, targets=asked)
    with pytest.warns(FusionDxWarning, match="'trees of flat' is left out of the stack: No column of flat tells"):
        stack = fdx.Stack("thorough", training=QUICK).fit(odd)
    assert {"ridge of rare", "trees of rare"} < set(stack.members_)
    assert "ridge of flat" not in stack.members_
    assert np.isfinite(stack.predict_proba(odd)).all()


def test_a_label_that_is_blank_for_all_gets_a_constant(tmp_path: Path) -> None:
    table = frame().assign(m3=None)
    blank = fdx.Cohort.from_frame(table, modalities=TABLES, targets={"marks": fdx.Labels(("m1", "m2", "m3"))})
    stack = fdx.Stack(training=QUICK).fit(blank)
    trees = answers_of(stack.members_["trees of all"].fits[0].predict(blank)["marks"], stack.questions_["marks"].head)
    assert np.ptp(trees[:, 2]) == 0 < np.ptp(trees[:, 0])
    said = stack.predict(blank)["marks"].to_frame()
    assert np.isfinite(said).all(axis=None)
    loaded = fdx.Stack.load(stack.save(tmp_path / "stack"))
    pd.testing.assert_frame_equal(loaded.predict(blank)["marks"].to_frame(), said)


def test_an_inner_fold_without_events_tells_nothing() -> None:
    """Were its answers 0 or very low, they would tell that all events are among those held out there."""
    table = frame()
    whole = cohort(targets={"label": TARGETS["label"], "course": TARGETS["course"]})
    (_, there), *_ = whole.folds(3, group=None, seed=0)
    table.loc[np.setdiff1d(np.arange(PATIENTS), there), "cause"] = 0
    gathered = fdx.Cohort.from_frame(table, modalities=TABLES, targets=dict(list(TARGETS.items())[1:3]))
    stack = fdx.Stack(training=QUICK).fit(gathered)
    splits = gathered.folds(3, group=None, seed=0)
    ridge = Recipe("ridge", ClassicalModel(("clinical",)), ("clinical",), joint=False)
    held = ridge.fit(gathered, splits)[1].held_out(gathered, splits, stack.questions_)["course"]
    has = gathered.modalities["clinical"].present
    assert np.ptp(held[there][has[there]], axis=0) == pytest.approx(0)
    others = np.setdiff1d(np.flatnonzero(has), there)
    np.testing.assert_allclose(held[there][0], held[others].mean(axis=0))


def test_blend_brings_members_to_scale_and_ignores_what_knows_nothing() -> None:
    random = np.random.default_rng(1)
    truth = cohort().targets["label"]
    logit = np.where(truth.fields["label"] == 1, 1.0, -1.0) + random.normal(size=PATIENTS)
    good, noise = np.stack([-logit, logit], axis=1), random.normal(size=(PATIENTS, 2))
    answers = {"good": 10 * good, "contrary": -good, "noise": noise - noise.mean(axis=1, keepdims=True)}
    blend = fit_blend(answers, truth, plain_head(truth))
    assert "contrary" not in blend.weights
    moved = {name: weight * answers[name].std() for name, weight in blend.weights.items()}
    assert moved["good"] > 5 * moved.get("noise", 0.0)
    held = fit_blend(answers, truth, plain_head(truth), expected={"good": 0.05})
    assert held.weights["good"] == pytest.approx(0.05, abs=0.03)


def test_where_every_member_tells_the_contrary_none_counts_but_for_what_more_patients_have_told() -> None:
    random = np.random.default_rng(1)
    for target, width in (("label", 2), ("survival", 1)):
        truth = cohort().targets[target]
        bad = truth.fields["label"] == 1 if target == "label" else truth.fields["time"] < 0.5
        logit = random.normal(size=PATIENTS) - 2.0 * bad
        answers = {name: np.stack([-logit, logit], axis=1)[:, -width:] for name in ("one", "two")}
        blend = fit_blend(answers, truth, plain_head(truth))
        assert blend.weights == {"one": 0.0, "two": 0.0}
        assert not blend.speaks
        said = blend(answers)
        assert np.ptp(said, axis=0) == pytest.approx(0)
        if target == "label":
            level = np.log(np.bincount(truth.fields["label"]) / PATIENTS)
            np.testing.assert_allclose(said[0] - said[0].mean(), level - level.mean(), atol=1e-3)
        few = truth[np.arange(4)]
        held = fit_blend({n: v[:4] for n, v in answers.items()}, few, plain_head(few), {"one": 0.3, "two": 0.0})
        assert held.weights == {"one": pytest.approx(0.3, abs=0.05)}


def test_a_stack_of_contrary_members_says_so_and_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusiondx.stacking.blend.alone", lambda *given: 0.0)
    mine = cohort(targets={"label": TARGETS["label"]})
    with pytest.warns(FusionDxWarning, match="'label': no member tells anything"):
        stack = fdx.Stack(training=QUICK).fit(mine)
    assert len(stack.weights_)
    assert not stack.weights_["weight"].any()
    loaded = fdx.Stack.load(stack.save(tmp_path / "stack"))
    np.testing.assert_array_equal(loaded.predict_proba(mine), stack.predict_proba(mine))
    pd.testing.assert_frame_equal(loaded.weights_, stack.weights_)


def test_a_target_that_few_know_is_learnt_from_those_few() -> None:
    table = frame()
    table.loc[25:, "level"] = np.nan
    known = cohort(targets={"level": TARGETS["level"]})
    few = fdx.Cohort.from_frame(table, modalities=TABLES, targets={"level": TARGETS["level"]})
    stack = fdx.Stack(training=QUICK).fit(few)
    assert stack.score(known[np.arange(25, PATIENTS)]) > 0.3
    table.loc[2:, "level"] = np.nan
    table.loc[:1, "level"] = 3.0
    same = fdx.Cohort.from_frame(
        table, modalities=TABLES, targets={"label": TARGETS["label"], "level": TARGETS["level"]}
    )
    with pytest.warns(FusionDxWarning, match="'level': no member tells anything"):
        assert set(fdx.Stack(training=QUICK).fit(same).weights_["target"]) == {"label"}


def test_a_member_that_hardly_says_anything_counts_less() -> None:
    random = np.random.default_rng(2)
    truth = cohort().targets["survival"]
    risk = -np.log(truth.fields["time"])
    says = {name: (risk - risk.mean() + random.normal(size=PATIENTS))[:, None] for name in ("one", "two", "three")}
    whole, hushed = (
        fit_blend({**says, "three": says["three"] * loud}, truth, plain_head(truth)).weights["three"] * loud
        for loud in (1.0, 0.05)
    )
    assert 0 < hushed < 0.5 * whole


def test_patterns_find_their_parts() -> None:
    has = {name: np.array([True, True]) for name in "abc"}
    assert patterns(has) == [("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    many = {name: np.array([name in "ab", True]) for name in "abcdef"}
    assert (
        patterns(many) == [*(tuple(x) for x in sorted("abcdef")), ("a", "b"), tuple("abcdef")]
        or len(patterns(many)) == 8
    )
    blends: Any = {("a",): None, ("a", "b"): None}
    assert covered(("a", "b", "c"), blends) == ("a", "b")
    assert covered(("c",), blends) == ()


def test_a_rare_pattern_expects_the_weights_of_its_common_part(whole: fdx.Cohort) -> None:
    truth = whole.targets["label"]
    random = np.random.default_rng(0)
    answers = {"m": random.normal(size=(PATIENTS, 2))}
    common = fit_blend(answers, truth, plain_head(truth))
    blends = {("a",): common}
    assert parent(blends, ("a", "b"), {("a",): 90, ("a", "b"): 20}) == common.weights
    assert parent(blends, ("a", "b"), {("a",): 90, ("a", "b"): 80}) is None
    silent = {("a",): replace(common, weights={"m": 0.0})}
    assert parent(silent, ("a", "b"), {("a",): 90, ("a", "b"): 20}) is None


def test_answers_survive_the_way_through_predictions(whole: fdx.Cohort) -> None:
    random = np.random.default_rng(0)
    for name in ("label", "marks", "level"):
        head = plain_head(whole.targets[name])
        width = {"label": 2, "marks": 2, "level": 1}[name]
        answers = random.normal(size=(PATIENTS, width))
        answers -= answers.mean(axis=1, keepdims=True) if name == "label" else 0
        again = answers_of(head.predict(answers, whole.ids), head)
        np.testing.assert_allclose(again, answers, atol=1e-6)


def test_it_refuses_what_was_seen_later(whole: fdx.Cohort) -> None:
    stack = fdx.Stack(training=QUICK).fit(whole.select(targets=["survival"]))
    with pytest.raises(DataError, match="prognosis counts"):
        stack.predict(replace(whole, landmarked=3.0))
