"""Is every tracker told the same of the same fits?"""

import json

import pandas as pd
import pytest

from fusiondx.core.settings import parse
from fusiondx.errors import ConfigError, RunError
from fusiondx.experiment.file import Experiment
from fusiondx.experiment.tracking import Fit, JsonLines, Mlflow, TensorBoard, epochs_of

EPOCHS = tuple({"member": m, "epoch": e, "train_loss": 1 / (1 + e + m)} for m in (0.0, 1.0) for e in (0.0, 1.0))
DONE = Fit("fusion (gated)", 2, 1.5, 30, EPOCHS)
ROW = {"model": "fusion (gated)", "target": "survival", "metric": "c_index"}
METRICS = pd.DataFrame([{**ROW, "estimate": 0.75}, {**ROW, "metric": "other", "estimate": None}])


def told(tracker):
    tracker.begin("Title: of it", {"model.fusion.kind": "gated", "folds.k": 2})
    tracker.fit(DONE)
    tracker.end(METRICS)


def test_json_lines_hold_every_epoch_fit_and_metric(tmp_path):
    told(JsonLines(tmp_path / "events.jsonl"))
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["begin", *["epoch"] * 4, "fit", "metric", "metric"]
    assert events[2] == {"event": "epoch", "model": "fusion (gated)", "fold": 2, **EPOCHS[1]}
    assert (events[5]["seconds"], events[-2]["estimate"], events[-1]["estimate"]) == (1.5, 0.75, None)


def test_tensorboard_has_a_curve_per_member(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(TensorBoard(folder=str(tmp_path)).build())
    runs = sorted({path.parent for path in tmp_path.rglob("events*")})
    assert len(runs) == 3
    curves = []
    for run in runs:
        board = EventAccumulator(str(run))
        board.Reload()
        curves += [[value.value for value in board.Scalars(tag)] for tag in board.Tags()["scalars"]]
    assert [pytest.approx(c) for c in ([0.75], [1, 0.5], [0.5, 1 / 3])] == curves


def test_a_local_mlflow_store_holds_the_run_and_its_fits(tmp_path):
    tracking = pytest.importorskip("mlflow.tracking")
    pytest.importorskip("alembic")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    told(Mlflow(uri=uri, experiment="glioma").build())
    client = tracking.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("glioma").experiment_id])
    nested, whole = sorted(runs, key=lambda run: "mlflow.parentRunId" not in run.data.tags)
    assert nested.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert (nested.info.status, whole.info.status) == ("FINISHED", "FINISHED")
    assert [m.value for m in client.get_metric_history(nested.info.run_id, "train_loss")] == [1, 0.5, 0.5, 1 / 3]
    assert whole.data.params == {"model.fusion.kind": "gated", "folds.k": "2"}
    assert list(whole.data.metrics.values()) == [0.75]


def test_a_store_that_cannot_be_used_is_told():
    pytest.importorskip("mlflow.tracking")
    with pytest.raises(RunError, match="tracking: the MLflow store"):
        Mlflow(uri="nonsense://x").build()


def test_trackers_are_named_in_yaml_and_mistakes_told():
    settings = {"cohort": "c", "folds": {}, "tracking": ["tensorboard", {"kind": "mlflow", "uri": "runs"}]}
    assert parse(Experiment, settings, "e").tracking == (TensorBoard(), Mlflow(uri="runs"))
    with pytest.raises(ConfigError, match=r"tracking\.0: unknown kind 'tensorbord'. Did you mean 'tensorboard'"):
        parse(Experiment, {**settings, "tracking": ["tensorbord"]}, "e")


def test_epochs_are_numbers_without_gaps():
    history = pd.DataFrame({"epoch": [0.0, 1.0], "validation_loss": [0.5, None], "fold": [3, 3]})
    assert list(epochs_of([history])) == [{"epoch": 0.0, "validation_loss": 0.5}, {"epoch": 1.0}]
