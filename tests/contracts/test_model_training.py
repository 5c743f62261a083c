"""Is training sound: shuffled, stopped at the best, quiet, and loud where it fails?"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import fusiondx as fdx
from fusiondx.core.batch import Batch
from fusiondx.core.targets import TargetValues
from fusiondx.data.batches import Batches, Prepared
from fusiondx.data.synthetic import simulate_null
from fusiondx.early_stopping import tells
from fusiondx.errors import ConfigError, DataError, FusionDxWarning, RunError
from fusiondx.training import Task, train

PATIENTS = 60
QUICK = fdx.Training(epochs=3, batch_size=16)
TARGETS = {
    "label": fdx.Classes("label", ("no", "yes")),
    "survival": fdx.Survival("months", "event"),
    "dose": fdx.Number("dose"),
}


def frame(patients: int = PATIENTS) -> pd.DataFrame:
    """Sorted by label, which x decides; y decides how long patients live, z the dose."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.normal(size=(patients, 3)), columns=["x", "y", "z"]).sort_values("x")
    return table.assign(
        patient_id=[f"{row:03d}" for row in range(patients)],
        label=np.where(table["x"] > 0, "yes", "no"),
        months=10 * np.exp(-table["y"]),
        event=np.arange(patients) % 4 // 3,
        dose=50 + 5 * table["z"],
    )


def cohort(table: pd.DataFrame, *targets: str) -> fdx.Cohort:
    modalities = {"left": fdx.Table(numeric=("x", "y")), "right": fdx.Table(numeric=("z",))}
    return fdx.Cohort.from_frame(table, modalities=modalities, targets={name: TARGETS[name] for name in targets})


def fitted(patients: fdx.Cohort, training: fdx.Training = QUICK, **settings: Any) -> fdx.FusionModel:
    return fdx.FusionModel(dim=8, training=training, **settings).fit(patients)


def weights(model: fdx.FusionModel, part: str) -> np.ndarray:
    state = model.networks_[0].state_dict()
    return np.concatenate([value.double().numpy().ravel() for name, value in state.items() if part in name])


# -- order ----------------------------------------------------------------------------------------------------------


def test_every_epoch_sees_every_training_patient_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []
    step = Task.training_step

    def watched(self: Task, batch: Batch, index: int) -> torch.Tensor:
        seen.append(batch.ids)
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", watched)
    fitted(cohort(frame(), "label"), QUICK.replace(validation=0))
    epochs = [sum(seen[first : first + 4], ()) for first in range(0, 12, 4)]
    assert len(seen) == 12
    in_order = tuple(f"{row:03d}" for row in range(PATIENTS))
    assert all(tuple(sorted(epoch)) == in_order for epoch in epochs)
    assert len({*epochs, in_order}) == 4


def test_validation_patients_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[str]] = {"training_step": set(), "validation_step": set()}
    for step in seen:
        original = getattr(Task, step)

        def watched(self: Task, batch: Batch, index: int, step: str = step, original: Any = original) -> Any:
            seen[step].update(batch.ids)
            return original(self, batch, index)

        monkeypatch.setattr(Task, step, watched)
    fitted(cohort(frame(), "label"))
    assert not seen["training_step"] & seen["validation_step"]
    assert len(seen["validation_step"]) == 12
    assert len(seen["training_step"]) == 48


def test_a_table_sorted_by_label_is_learnt() -> None:
    patients = cohort(frame(), "label")
    model = fitted(patients, fdx.Training(epochs=10, batch_size=16, learning_rate=0.02))
    assert model.score(patients) > 0.95


# -- stopping -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def overfitted() -> fdx.FusionModel:
    """Noise learnt fast: the validation loss rises after a few epochs."""
    training = fdx.Training(epochs=40, batch_size=16, learning_rate=0.02, patience=4)
    return fitted(simulate_null(80), training)


def test_training_stops_when_the_validation_loss_no_longer_falls(overfitted: fdx.FusionModel) -> None:
    losses = overfitted.history_["validation_loss"].to_numpy()
    assert len(losses) < 40
    assert losses.argmin() == len(losses) - 1 - 4
    assert overfitted.history_["epoch"].tolist() == list(range(len(losses)))


def test_the_best_weights_are_put_back(overfitted: fdx.FusionModel) -> None:
    patients = overfitted.cohort_
    _, outside = patients.folds(5, seed=0)[0]
    batch = Prepared(patients, overfitted.preparations_).batch(outside)
    with torch.inference_mode():
        loss = float(sum(overfitted.networks_[0].losses(batch).values()))
    losses = overfitted.history_["validation_loss"]
    assert loss == pytest.approx(losses.min(), rel=1e-5)
    assert losses.iloc[-1] > losses.min() + 1e-3


def test_without_a_validation_part_all_epochs_are_run() -> None:
    model = fitted(cohort(frame(), "label"), QUICK.replace(validation=0))
    assert model.history_["epoch"].tolist() == [0, 1, 2]
    assert "validation_loss" not in model.history_


def rare(events: int, patients: int = PATIENTS) -> pd.DataFrame:
    """The first so many to die of `frame`, and nobody else, have an event."""
    table = frame(patients)
    return table.assign(event=(table["months"].rank() <= events).astype(int))


@pytest.mark.parametrize(("events", "validation"), [(3, 0.2), (8, 0.1)])
@pytest.mark.parametrize("head", ["cox", "hazards"])
def test_a_validation_part_without_events_stops_nothing(events: int, validation: float, head: str) -> None:
    patients = cohort(rare(events), "survival")
    settings = {"seed": 0, "heads": {"survival": head}}
    with pytest.warns(FusionDxWarning, match=r"'survival': \d+ patients held out .* all epochs\. Raise training"):
        model = fitted(patients, QUICK.replace(validation=validation), **settings)
    assert "validation_loss" not in model.history_
    whole = fitted(patients, QUICK.replace(validation=0), **settings)
    assert np.array_equal(model.predict_risk(patients), whole.predict_risk(patients))


def test_other_targets_still_decide_when_to_stop() -> None:
    with pytest.warns(FusionDxWarning, match="'survival': 12 patients held out .* other targets decide when to stop"):
        model = fitted(cohort(rare(1), "label", "survival"), seed=0)
    assert model.history_["validation_loss"].notna().all()


def test_an_event_that_nobody_else_was_at_risk_of_tells_nothing() -> None:
    time, event = np.array([1.0, 2.0, 3.0, 3.0]), np.array([0, 0, 0, 1])
    values = TargetValues(TARGETS["survival"], {"time": time, "event": event}, np.ones(4, dtype=bool))
    assert [tells(values[np.array(rows)]) for rows in ([0, 1, 3], [2, 3], [0, 1, 2])] == [False, True, False]
    strata = replace(values, fields={**values.fields, "stratum": np.array([0, 0, 0, 1])})
    assert not tells(strata)
    assert not tells(replace(values, known=event == 0))


def test_a_number_known_of_nobody_held_out_stops_nothing() -> None:
    table = frame()
    with pytest.warns(
        FusionDxWarning, match="'dose': 6 patients held out for early stopping, none with a known answer"
    ):
        fitted(cohort(table.assign(dose=table["dose"].where(table.index < 2)), "dose"), QUICK.replace(validation=0.1))


@pytest.mark.parametrize(("patients", "validation"), [(4, 0.2), (60, 0.01)])
def test_a_validation_part_of_nobody_is_refused_by_name(patients: int, validation: float) -> None:
    everyone = cohort(frame(patients), "dose")
    with pytest.raises(DataError, match=rf"training\.validation: {validation} of {patients} patients .* Set it to 0"):
        fitted(everyone, QUICK.replace(validation=validation))
    fitted(everyone, QUICK.replace(validation=0))


def test_the_training_loss_is_the_mean_over_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[tuple[float, int]] = []
    step = Task.training_step

    def watched(self: Task, batch: Batch, index: int) -> torch.Tensor:
        loss = step(self, batch, index)
        losses.append((loss.item(), len(batch)))
        return loss

    monkeypatch.setattr(Task, "training_step", watched)
    model = fitted(cohort(frame(50), "label"), QUICK.replace(validation=0, epochs=1))
    value, size = np.array(losses).T
    assert model.history_["train_loss"].tolist() == [pytest.approx((value * size).sum() / 50)]


# -- failure --------------------------------------------------------------------------------------------------------


class Broken:
    """A head whose loss, from the third step on, is what it is told."""

    answers = "classes"

    def __init__(self, value: float, only_when_judged: bool = False) -> None:
        self.value, self.only_when_judged = value, only_when_judged

    def build(self, target: Any, dim: int) -> Any:
        head, spec, steps = fdx.Diagnosis().build(target, dim), self, []
        loss = head.loss

        def broken(answers: torch.Tensor, truth: Any) -> torch.Tensor:
            steps.append(1)
            sound = len(steps) < 3 or (spec.only_when_judged and head.training)
            return loss(answers, truth) * (1.0 if sound else spec.value)

        head.loss = broken
        return head


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_training(value: float) -> None:
    with pytest.raises(RunError, match=r"training loss became (nan|inf) in epoch 0.*learning_rate"):
        fitted(cohort(frame(), "label"), heads={"label": Broken(value)})


def test_a_validation_loss_that_is_no_number_stops_training() -> None:
    with pytest.raises(RunError, match=r"validation loss became nan in epoch 0.*learning_rate"):
        fitted(cohort(frame(), "label"), heads={"label": Broken(float("nan"), only_when_judged=True)})


class Steep:
    """A head whose loss is sound and whose gradient is not."""

    answers = "classes"

    def build(self, target: Any, dim: int) -> Any:
        head = fdx.Diagnosis().build(target, dim)
        loss = head.loss
        head.loss = lambda answers, truth: loss(answers, truth) + (answers.sum() * 0).sqrt()
        return head


def test_weights_that_are_no_numbers_are_never_handed_out() -> None:
    one_step = fdx.Training(epochs=1, batch_size=PATIENTS, validation=0)
    with pytest.raises(RunError, match=r"weights became nan.*learning_rate"):
        fitted(cohort(frame(), "label"), one_step, heads={"label": Steep()})


class Squashed:
    """A head that makes probabilities too early."""

    answers = "classes"

    def build(self, target: Any, dim: int) -> Any:
        head = fdx.Diagnosis().build(target, dim)
        head.score.append(torch.nn.Softmax(dim=-1))
        return head


def test_probabilities_are_refused_as_logits() -> None:
    with pytest.raises(ConfigError, match="was given probabilities"):
        fitted(cohort(frame(), "label"), heads={"label": Squashed()})


def test_batches_without_events_do_not_break_cox() -> None:
    table = frame()
    table["event"] = [1, 1, 1] + [0] * (PATIENTS - 3)
    model = fitted(cohort(table, "survival"), QUICK.replace(batch_size=4, validation=0))
    assert np.isfinite(weights(model, "")).all()
    assert (model.predict_risk(model.cohort_) != 0).any()


def test_everybody_tied_or_dead_does_not_break_cox() -> None:
    for months, event in ((5.0, 1), (5.0, [1] + [0] * (PATIENTS - 1))):
        patients = cohort(frame().assign(months=months, event=event), "survival")
        assert np.isfinite(fitted(patients).predict_survival(patients, [0.0, 5.0, 9.0])).all()


# -- several targets ------------------------------------------------------------------------------------------------


def test_all_targets_are_learnt_at_once() -> None:
    patients = cohort(frame(120), "label", "survival", "dose")
    model = fitted(patients, fdx.Training(epochs=15, batch_size=16, learning_rate=0.02, validation=0))
    found = model.predict(patients)
    assert list(found) == ["label", "survival", "dose"]
    assert model.score(patients) > 0.9
    assert np.corrcoef(found["survival"].risk, frame(120)["y"])[0, 1] > 0.7
    assert np.corrcoef(found["dose"].value, frame(120)["z"])[0, 1] > 0.7
    assert model.predict_proba(patients).shape == (120, 2)
    with pytest.raises(ConfigError, match="'dose' was asked for"):
        model.predict_risk(patients, "dose")


def test_a_patient_without_one_answer_still_trains_the_others() -> None:
    blanked, dropped = frame(), frame()
    rows = blanked.index[::4]
    blanked["label"] = blanked["label"].where(~blanked.index.isin(rows), None)
    dropped = blanked.assign(dose=blanked["dose"].where(~blanked.index.isin(rows), np.nan))
    plain = QUICK.replace(validation=0)  # so that both train on the same patients in the same order
    with_dose, without = (fitted(cohort(table, "label", "dose"), plain) for table in (blanked, dropped))
    for part in ("heads.target:dose.score", "encoders", "fusion"):
        assert not np.allclose(weights(with_dose, part), weights(without, part), atol=1e-5)


@pytest.mark.parametrize("target", ["label", "survival", "dose"])
def test_what_stands_where_an_answer_is_unknown_never_matters(target: str) -> None:
    patients = cohort(frame(), "label", "survival", "dose")
    values = patients.targets[target]
    known = np.arange(PATIENTS) % 3 != 0
    found = []
    for garbage in (0, 1):
        fields = {name: np.where(known, value, garbage).astype(value.dtype) for name, value in values.fields.items()}
        changed = replace(patients, targets={**patients.targets, target: replace(values, fields=fields, known=known)})
        found.append(weights(fitted(changed), ""))
    assert np.array_equal(found[0], found[1])


# -- manners --------------------------------------------------------------------------------------------------------

QUIETLY = """
import fusiondx as fdx
from fusiondx.data.synthetic import simulate_null
fdx.FusionModel(dim=8, training=fdx.Training(epochs=2)).fit(simulate_null(40)).predict(simulate_null(40))
"""


def test_fitting_is_quiet_and_leaves_no_files(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUIETLY], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_progress_bar_comes_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    fitted(cohort(frame(), "label"), QUICK.replace(progress=True))
    said = "".join(capfd.readouterr())
    assert "Epoch" in said


def test_the_network_comes_back_ready_to_predict(overfitted: fdx.FusionModel) -> None:
    assert not overfitted.networks_[0].training
    assert {p.device.type for p in overfitted.networks_[0].parameters()} == {"cpu"}


def test_validation_keeps_no_inputs() -> None:
    patients = cohort(frame(), "label")
    model = fitted(patients)
    prepared = Prepared(patients, model.preparations_)
    task = Task(model.networks_[0], QUICK, 1)
    batch = prepared.batch(np.arange(8))
    task.validation_step(batch, 0)
    kept = {id(t) for _, truths in task.held_out for truth in truths.values() for t in truth.fields.values()}
    assert kept == {id(t) for truth in batch.targets.values() for t in truth.fields.values()}


def test_networks_train_without_lightning_s_loader_sizes() -> None:
    patients = cohort(frame(), "label")
    model = fitted(patients)
    batches = Batches(Prepared(patients, model.preparations_), np.arange(10), 4, seed=0)
    history = train(model.networks_[0], QUICK.replace(epochs=2), batches, None)
    assert history["epoch"].tolist() == [0, 1]
    assert batches.passes == 2


# -- precision ------------------------------------------------------------------------------------------------------


def test_pixels_alone_are_learnt_in_bfloat16_where_asked(tmp_path: Path) -> None:
    patients = fdx.Cohort.read(fdx.simulate(tmp_path, 24, missing=0, image_size=16)).select(["clinical", "image"])
    seen: dict[str, set[tuple[bool, torch.dtype]]] = {"image": set(), "clinical": set()}

    def watch(network: Any) -> None:
        for name, layer in (("image", network.encoders["image"].body[0]), ("clinical", network.encoders["clinical"])):
            layer.register_forward_hook(
                lambda module, _, out, name=name: seen[name].add(
                    (module.training, (out if isinstance(out, torch.Tensor) else out.values).dtype)
                )
            )

    class Watched(fdx.FusionModel):
        def _build(self, *args: Any) -> Any:
            network = super()._build(*args)
            watch(network)
            return network

    training = fdx.Training(epochs=1, validation=0.25, precision="bfloat16")
    model = Watched({"image": "smallcnn"}, dim=8, training=training).fit(patients)
    assert seen["image"] == {(True, torch.bfloat16), (False, torch.float32)}
    assert seen["clinical"] == {(True, torch.float32), (False, torch.float32)}
    assert all(p.dtype == torch.float32 for p in model.networks_[0].parameters())
