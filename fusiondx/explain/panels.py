"""Panels: the pictures of a patient's card, each with a caption and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusiondx.core.predictions import NumberPrediction, SurvivalPrediction
from fusiondx.data.images import ImageData
from fusiondx.errors import counted
from fusiondx.explain.patient import Patient, nouns
from fusiondx.reporting import portrait
from fusiondx.reporting.html import Table
from fusiondx.reporting.portrait import Lifetime, Panel, Photograph
from fusiondx.reporting.words import number, plain, signed
from fusiondx.survival.estimators import kaplan_meier

Array = npt.NDArray[Any]

TOP = 8
"""Columns and gene sets shown; the page holds all of them as a table."""
IMAGES = 4
"""Images shown of each modality."""
METHODS = {"integrated": "integrated gradients", "hirescam": "HiResCAM", "gradcam": "Grad-CAM"}

Shown = tuple[Panel, str, Table]


def panels(one: Patient) -> Iterator[Shown]:
    """Every picture of the card, with its caption and the numbers behind it."""
    yield predicted(one)
    yield by_modality(one)
    yield from by_column(one)
    yield from by_set(one)
    yield from images(one)


def predicted(one: Patient) -> Shown:
    """What the model says, among what it says of the training patients."""
    said = one.explanation.prediction.take(np.array([one.place]))
    others = one.explanation.reference_prediction
    if isinstance(said, SurvivalPrediction):
        return survival(one, said, others)
    if isinstance(said, NumberPrediction):
        held = others.value if isinstance(others, NumberPrediction) else np.zeros(0)
        value, outcome = float(said.value[0]), one.value["outcome"]
        draw = portrait.position(value, held, outcome)
        table = Table("Prediction", ("", plain(outcome)), (("this patient", number(value)),))
        alt = f"Predicted {plain(outcome)}: {number(value)}."
        return Panel("Prediction", draw, alt, 2.6), "Among the predictions for the training patients.", table
    found = replace(one.explanation.question, scale="probability").outcomes(said)
    marked = list(found.names).index(one.value["outcome"])
    rows = tuple((plain(n), number(float(v))) for n, v in zip(found.names, found.values[0], strict=True))
    alt = "Predicted probabilities: " + "; ".join(f"{n} {v}" for n, v in rows) + "."
    draw = portrait.chances(found.names, found.values[0], marked)
    panel = Panel("Prediction", draw, alt, 1.2 + 0.34 * len(rows))
    return panel, "The outcome that is explained is green.", Table("Probability", ("Outcome", "Probability"), rows)


def survival(one: Patient, said: SurvivalPrediction, others: object) -> Shown:
    """The patient's curve against the training patients."""
    reference, target = one.explanation.reference, one.explanation.question.target
    held = others.survival(said.times) if isinstance(others, SurvivalPrediction) else np.zeros((0, len(said.times)))
    observed = None
    truth = None if reference is None else reference.targets.get(target)
    if truth is not None and truth.known.any():
        observed = kaplan_meier(truth.fields["time"][truth.known], truth.fields["event"][truth.known])
    horizon = one.explanation.question.horizon or 0.0
    shown = Lifetime(said.times, said.curves[0], held, observed, horizon, said.unit)
    at = np.unique(np.append(np.linspace(0, said.times[-1], 6), horizon))
    rows = tuple(
        (f"{t:.3g} {plain(said.unit)}", number(float(s))) for t, s in zip(at, said.survival(at)[0], strict=True)
    )
    caption = f"Predicted survival. The dotted line is the horizon, {horizon:.3g} {plain(said.unit)}."
    alt = "Predicted survival: " + "; ".join(f"{t} {s}" for t, s in rows) + "."
    return (
        Panel("Survival", portrait.lifetime(shown), alt, 3.4),
        caption,
        Table("Survival", ("Time", "Event-free"), rows),
    )


def by_modality(one: Patient) -> Shown:
    """What each modality the patient has added."""
    frame = one.of(one.explanation.modalities)
    frame, value = frame[frame["present"]], one.value
    names, added = frame["modality"].tolist(), frame["contribution"].to_numpy(float)
    draw = portrait.waterfall(names, added, float(value["with_nothing"]), float(value["value"]), one.unit)
    rows = tuple((plain(n), signed(float(v))) for n, v in zip(names, added, strict=True))
    alt = "Contributions of modalities: " + "; ".join(f"{n} {v}" for n, v in rows) + "."
    panel = Panel("What each modality added", draw, alt, 1.5 + 0.34 * len(rows))
    return (
        panel,
        "Exact Shapley values over all subsets of modalities.",
        Table("Modalities", ("Modality", "Added"), rows),
    )


def by_column(one: Patient) -> Iterator[Shown]:
    """The columns that mattered most."""
    frame = readable(one)
    if len(frame):
        top = frame.reindex(frame["attribution"].abs().sort_values(ascending=False, kind="stable").index)[:TOP]
        names = labelled(one, top)
        yield ranked(one, "Columns that mattered most", names, top, "Integrated gradients against the average patient.")


def by_set(one: Patient) -> Iterator[Shown]:
    """The gene sets that mattered most."""
    frame = one.of(one.explanation.pathways)
    if len(frame):
        top = frame.reindex(frame["attribution"].abs().sort_values(ascending=False, kind="stable").index)[:TOP]
        yield ranked(one, "Gene sets that mattered most", top["pathway"].tolist(), top, "Sums over each set's columns.")


def ranked(one: Patient, title: str, names: list[str], top: pd.DataFrame, caption: str) -> Shown:
    """Bars of attributions, strongest first."""
    values = top["attribution"].to_numpy(float)
    rows = tuple((plain(n), signed(float(v))) for n, v in zip(names, values, strict=True))
    alt = f"{title}: " + "; ".join(f"{n} {v}" for n, v in rows) + "."
    panel = Panel(title, portrait.pushes(names, values, one.unit), alt, 1.0 + 0.3 * len(rows))
    return panel, caption, Table(title, ("", "Attribution"), rows)


def readable(one: Patient) -> pd.DataFrame:
    """Attributions of columns that say something to a reader: not those of a frozen network's channels."""
    frame = one.of(one.explanation.features)
    return frame[~frame["modality"].isin(list(one.explanation.maps))]


def labelled(one: Patient, frame: pd.DataFrame) -> list[str]:
    """``age_years = 58.3`` for each column; of a gap that it is one, and of several rows how many there are."""
    has = {name: (int(m.counts[one.place]), m.data) for name, m in one.explanation.cohort.modalities.items()}
    several = {name: counted(rows, *nouns(data)) for name, (rows, data) in has.items() if rows > 1}
    cells = frame[["modality", "column", "value"]].itertuples(index=False)
    return [f"{column}{cell(value, several.get(name, 'missing'))}" for name, column, value in cells]


def cell(value: object, blank: str) -> str:
    """What a patient has in a column, and what it means where that is nothing."""
    if value == "":
        return f" ({blank})"
    return f" = {value:.4g}" if isinstance(value, float) else f" = {value}"


def images(one: Patient) -> Iterator[Shown]:
    """The patient's images with heat maps and predicted tumours, the first few of each modality."""
    for name, modality in one.explanation.cohort.modalities.items():
        if isinstance(modality.data, ImageData):
            _, rows = modality.locate(np.array([one.place]))
            for n, row in enumerate(rows[:IMAGES]):
                yield image(one, name, modality.data, int(row), n, len(rows))


def image(one: Patient, name: str, data: ImageData, row: int, n: int, count: int) -> Shown:
    """One image."""
    maps, drawn = one.explanation.maps.get(name), one.explanation.segmentations.get(name)
    heat = None if maps is None else maps.of(one.id)[n]
    tumour = None if drawn is None else drawn.probability[drawn.patient == one.place][n].astype(np.float32)
    shown = Photograph(*sliced(brightness(data, row), heat, tumour))
    title = f"{plain(name)}" + (f", image {n + 1} of {count}" if count > 1 else "")
    method = "no heat map" if maps is None else f"beside it the heat map ({METHODS.get(maps.method, maps.method)})"
    outline = "" if tumour is None else " The yellow outline is the predicted tumour."
    depth = "" if heat is None or heat.ndim == 2 else " The slice with the strongest heat is shown."
    caption = f"As the model is given it; {method}.{outline}{depth}"
    share = [] if tumour is None else [("predicted tumour, share of the image", number(float((tumour >= 0.5).mean())))]
    table = Table(title, ("", "Number"), (("images", str(count)), *share))
    return Panel(title, portrait.photograph(shown), f"{title}. {caption}", 2.7), caption, table


def brightness(data: ImageData, row: int) -> Array:
    """An image's pixels between 0 and 1, channels first; grey ones stretched to their own range."""
    pixels = data.pixels()[row].astype(np.float32)
    if len(pixels) == 3 and data.white:
        return np.asarray(pixels / data.white)
    low, high = np.quantile(pixels, [0.005, 0.995])
    return np.asarray(((pixels - low) / max(high - low, 1e-6)).clip(0, 1))


def sliced(pixels: Array, heat: Array | None, tumour: Array | None) -> tuple[Array, Array | None, Array | None]:
    """As a picture has them: of a volume the slice with the strongest heat, or else the middle one; colour last."""
    if pixels.ndim == 4:
        z = pixels.shape[1] // 2 if heat is None else int(np.abs(heat).sum(axis=(1, 2)).argmax())
        pixels, heat, tumour = pixels[:, z], None if heat is None else heat[z], None if tumour is None else tumour[z]
    return np.moveaxis(pixels, 0, -1) if len(pixels) == 3 else pixels[0], heat, tumour
