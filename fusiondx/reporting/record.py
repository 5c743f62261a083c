"""A report as JSON text, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from fusiondx.core.predictions import (
    CausePrediction,
    ClassPrediction,
    CompetingPrediction,
    LabelsPrediction,
    MaskPrediction,
    NumberPrediction,
    Prediction,
    SurvivalPrediction,
)
from fusiondx.core.targets import Cause, Masks, TargetSpec, TargetValues
from fusiondx.errors import RunError
from fusiondx.evaluation.estimate import Estimate, Outcome, Undefined
from fusiondx.reporting.panels import event_times, horizons
from fusiondx.reporting.report import Part, Report, Result
from fusiondx.reporting.summary import lead

FORMAT = 1
OPTIONAL = ("subgroups", "degradation", "modality_use", "audit", "failures")
"""Tables that reports of earlier versions do not have."""
_SPEC: TypeAdapter[Any] = TypeAdapter(TargetSpec | Masks | Cause)

Record = dict[str, Any]


def write(report: Report) -> str:
    """`report` as JSON text; numbers that are not finite become null."""
    numbers = _numbers(report)
    record = {
        "format": FORMAT,
        "title": report.title,
        "results": [_result(result, numbers, result is lead(report, result.target)) for result in report.results],
        "differences": _frame(report.differences),
        "patterns": _frame(report.patterns),
        **{name: _frame(getattr(report, name)) for name in OPTIONAL},
        "history": {model: _frame(frame) for model, frame in report.history.items()},
        "trials": {model: _frame(frame) for model, frame in report.trials.items()},
        "notes": list(report.notes),
        "manifest": dict(report.manifest),
    }
    return json.dumps(_finite(record), indent=1, allow_nan=False)


def read(path: Path) -> Report:
    """The report in the file `path`. Raises `RunError` where the file is missing or is not such a report."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"The report {path} cannot be read: {error.strerror}. Evaluate the model again.") from error
    except ValueError as error:
        raise RunError(f"The report {path} is damaged: it is not JSON text. Evaluate the model again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RunError(f"{path} is not a report of format {FORMAT}. Evaluate the model again with this version.")
    try:
        return _report(record)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RunError(f"The report {path} is damaged: parts of it are missing. Evaluate the model again.") from error


def _report(record: Record) -> Report:
    return Report(
        title=record["title"],
        results=tuple(_restored(result) for result in record["results"]),
        differences=_restored_frame(record["differences"]),
        patterns=_restored_frame(record["patterns"]),
        **{name: _restored_frame(record[name]) for name in OPTIONAL if name in record},
        history={model: _restored_frame(frame) for model, frame in record["history"].items()},
        trials={model: _restored_frame(frame) for model, frame in record.get("trials", {}).items()},
        notes=tuple(record["notes"]),
        manifest=record["manifest"],
    )


def _numbers(report: Report) -> dict[str, int]:
    """A number for each patient in place of its id, the same in every result."""
    parts = (part for result in report.results for part in result.known)
    ids = dict.fromkeys(str(patient) for prediction, _ in parts for patient in prediction.ids)
    return {patient: number for number, patient in enumerate(ids, start=1)}


def _result(result: Result, numbers: Mapping[str, int], leads: bool) -> Record:
    return {
        "model": result.model,
        "role": result.role,
        "target": result.target,
        "estimates": [asdict(estimate) for estimate in result.estimates],
        "seconds": result.seconds,
        "parameters": result.parameters,
        "cuts": list(result.cuts),
        "parts": [_part(_thinned(part, result, leads), numbers) for part in result.known],
    }


def _thinned(part: Part, result: Result, leads: bool) -> Part:
    """Survival curves at the times that a page looks at, and no others: they would be most of the file."""
    said, truth = part
    if not isinstance(said, SurvivalPrediction | CausePrediction) or not len(said.times):
        return part
    at, _ = horizons(result)
    if isinstance(said, CausePrediction):
        return replace(said, times=at, incidence=said.cumulative_incidence(at)), truth
    at = np.union1d(at, event_times(result)) if leads else at
    return replace(said, times=at, curves=said.survival(at)), truth


def _part(part: Part, numbers: Mapping[str, int]) -> Record:
    said, truth = part
    patients = [numbers[str(patient)] for patient in said.ids]
    return {"patients": patients, "prediction": _prediction(said), "truth": _truth(truth)}


def _restored(record: Record) -> Result:
    return Result(
        model=record["model"],
        role=record["role"],
        target=record["target"],
        parts=tuple(_restored_part(part) for part in record["parts"]),
        estimates=tuple(_restored_outcome(estimate) for estimate in record["estimates"]),
        seconds=record["seconds"],
        parameters=record["parameters"],
        cuts=tuple(record["cuts"]),
    )


def _restored_outcome(record: Record) -> Outcome:
    if "reason" in record:
        return Undefined(**record)
    return Estimate(**record | {name: _number(record[name]) for name in ("value", "low", "high")})


def _prediction(said: Prediction) -> Record:
    if isinstance(said, ClassPrediction):
        return {"kind": "classes", "classes": list(said.classes), "probability": said.probability.tolist()}
    if isinstance(said, LabelsPrediction):
        return {"kind": "labels", "labels": list(said.labels), "probability": said.probability.tolist()}
    if isinstance(said, SurvivalPrediction):
        return {
            "kind": "survival",
            "risk": said.risk.tolist(),
            "unit": said.unit,
            "times": said.times.tolist(),
            "curves": said.curves.tolist(),
        }
    if isinstance(said, CompetingPrediction):
        return {"kind": "competing", "causes": list(said.causes), "risk": said.risk.tolist(), "unit": said.unit}
    if isinstance(said, CausePrediction):
        return {
            "kind": "cause",
            "risk": said.risk.tolist(),
            "unit": said.unit,
            "times": said.times.tolist(),
            "incidence": said.incidence.tolist(),
        }
    if isinstance(said, NumberPrediction):
        return {"kind": "number", "value": said.value.tolist(), "unit": said.unit}
    if isinstance(said, MaskPrediction):
        return {"kind": "mask", "area": said.area.tolist(), "shared": said.shared.tolist()}
    raise TypeError(f"A report cannot keep a {type(said).__name__}.")


def _truth(truth: TargetValues) -> Record:
    fields = {name: np.asarray(values).tolist() for name, values in truth.fields.items()}
    return {"spec": _SPEC.dump_python(truth.spec, mode="json"), "fields": fields, "classes": list(truth.classes)}


def _restored_part(record: Record) -> Part:
    ids = np.array([str(number) for number in record["patients"]], dtype=object)
    fields = {name: np.asarray(values) for name, values in record["truth"]["fields"].items()}
    spec = _SPEC.validate_python(record["truth"]["spec"])
    truth = TargetValues(spec, fields, np.ones(len(ids), dtype=bool), tuple(record["truth"]["classes"]))
    return _restored_prediction(record["prediction"], ids), truth


def _restored_prediction(record: Record, ids: Any) -> Prediction:
    if record["kind"] == "classes":
        probability = np.asarray(record["probability"], dtype=np.float64).reshape(len(ids), len(record["classes"]))
        return ClassPrediction(ids, tuple(record["classes"]), probability)
    if record["kind"] == "labels":
        probability = np.asarray(record["probability"], dtype=np.float64).reshape(len(ids), len(record["labels"]))
        return LabelsPrediction(ids, tuple(record["labels"]), probability)
    if record["kind"] == "survival":
        risk = np.asarray(record["risk"], dtype=np.float64)
        times = np.asarray(record.get("times", ()), dtype=np.float64)
        curves = np.asarray(record.get("curves", ()), dtype=np.float64).reshape(len(ids), len(times))
        return SurvivalPrediction(ids, risk, times, curves, record["unit"])
    if record["kind"] == "competing":
        causes = tuple(record["causes"])
        risk = np.asarray(record["risk"], dtype=np.float64).reshape(len(ids), len(causes))
        return CompetingPrediction(ids, causes, risk, np.empty(0), np.empty((*risk.shape, 0)), record["unit"])
    if record["kind"] == "cause":
        risk = np.asarray(record["risk"], dtype=np.float64)
        times = np.asarray(record.get("times", ()), dtype=np.float64)
        incidence = np.asarray(record.get("incidence", ()), dtype=np.float64).reshape(len(ids), len(times))
        return CausePrediction(ids, risk, times, incidence, record["unit"])
    if record["kind"] == "mask":
        return MaskPrediction(ids, *(np.asarray(record[name], dtype=np.float64) for name in ("area", "shared")))
    return NumberPrediction(ids, np.asarray(record["value"], dtype=np.float64), record["unit"])


def _frame(frame: pd.DataFrame) -> Record:
    rows = frame.astype(object).where(frame.notna(), None).to_numpy().tolist()
    return {"columns": [str(column) for column in frame.columns], "rows": rows}


def _restored_frame(record: Record) -> pd.DataFrame:
    # As objects first, so that whole numbers beside a gap stay whole
    return pd.DataFrame(record["rows"], columns=record["columns"], dtype=object).infer_objects()


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _finite(value: Any) -> Any:
    """`value` with plain Python numbers throughout, None in place of those that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
