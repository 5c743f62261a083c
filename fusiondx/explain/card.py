"""Card: everything about one patient's explanation on one page, as HTML and as PNG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fusiondx.errors import DataError, RunError, did_you_mean, listed
from fusiondx.explain.panels import Shown, labelled, panels, readable
from fusiondx.explain.patient import Patient, told
from fusiondx.reporting import portrait
from fusiondx.reporting.html import Drawing, Page, Section, Table, render
from fusiondx.reporting.words import number, plain, signed

if TYPE_CHECKING:
    from fusiondx.explain.explanation import Explanation


@dataclass(frozen=True)
class Card:
    """One patient's explanation to look at."""

    patient_id: str
    html: str
    """A page of its own: nothing is loaded, nothing runs."""
    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, folder: str | Path) -> tuple[Path, Path]:
        """Write ``<patient>.html`` and ``<patient>.png`` into `folder`; characters of an id that a file name cannot
        hold become ``_``. Raises `RunError` where they cannot be written."""
        place = Path(folder)
        stem = re.sub(r"[^A-Za-z0-9-]", "_", self.patient_id) or "_"
        page, picture = place / f"{stem}.html", place / f"{stem}.png"
        try:
            place.mkdir(parents=True, exist_ok=True)
            page.write_text(self.html, encoding="utf-8")
            picture.write_bytes(self.png)
        except OSError as error:
            raise RunError(f"The card could not be written to {place}: {error.strerror or error}.") from error
        return page, picture


def card(explanation: Explanation, patient_id: str) -> Card:
    """The card of one patient. Raises `DataError` for somebody who is not in the explanation."""
    ids = explanation.cohort.ids
    if patient_id not in set(ids):
        raise DataError(f"There is no patient '{patient_id}' in this explanation.{did_you_mean(patient_id, list(ids))}")
    one = Patient(explanation, patient_id, int(np.flatnonzero(ids == patient_id)[0]))
    title, shown = f"Patient {plain(patient_id)}", list(panels(one))
    target = plain(explanation.question.target)
    lines = [f"{target}: {one.sentence}", one.inputs_in_words, *neighbours_in_words(one)]
    return Card(
        patient_id, render(page(one, shown, title)), portrait.sheet(title, lines, [panel for panel, *_ in shown])
    )


def page(one: Patient, shown: Sequence[Shown], title: str) -> Page:
    """The card as a page."""
    drawings = tuple(Drawing(panel.title, portrait.drawn(panel), caption, table) for panel, caption, table in shown)
    known = Table("Inputs", ("Modality", "There is"), tuple((plain(n), w) for n, w in one.inputs), words=(0, 1))
    sections = (
        Section("What is known of the patient", tables=(known,)),
        Section("The prediction, and what drove it", drawings=drawings, folded=tuple(tables(one))),
        *alike(one),
        Section("How to read this", points=(*reading(one.explanation), *map(plain, one.explanation.notes))),
    )
    return Page(title, ((plain(one.explanation.question.target), one.sentence),), sections)


def reading(explanation: Explanation) -> Iterator[str]:
    """What the pictures mean, of those there are."""
    yield "This says what the model made of its inputs: not what causes the disease, nor that the model is right."
    yield "Modalities: exact Shapley values, over all subsets of what the patient has. They add up to the prediction."
    if len(explanation.features):
        yield "Columns: integrated gradients from the average training patient to this one, all else as it is."
    if explanation.maps:
        yield "Images: orange pushes the number up, blue down, image by image: colours compare places, not images."


def tables(one: Patient) -> Iterator[Table]:
    """All attributions, and where encoders and fusion say they looked."""
    frame = readable(one)
    if len(frame):
        rows = tuple(
            (plain(modality), plain(name), signed(float(added)))
            for modality, name, added in zip(frame["modality"], labelled(one, frame), frame["attribution"], strict=True)
        )
        yield Table("Every column", ("Modality", "Column", "Attribution"), rows, words=(0, 1))
    looks = one.of(one.explanation.attention).sort_values("weight", ascending=False, kind="stable")[:40]
    if len(looks):
        cells = looks[["modality", "source", "part", "weight"]].itertuples(index=False)
        lines = tuple((plain(m), plain(s), plain(p), number(float(w))) for m, s, p, w in cells)
        caption = "Where the model says it looked (the 40 largest weights)"
        yield Table(caption, ("Modality", "Source", "Part", "Weight"), lines, words=(0, 1, 2))


def alike(one: Patient) -> Iterator[Section]:
    """The nearest training patients, and what became of them."""
    near = one.of(one.explanation.neighbours)
    if len(near):
        rows = tuple(
            (plain(other), number(float(far)), outcome_of(one.explanation, other))
            for other, far in near[["neighbour", "distance"]].itertuples(index=False)
        )
        yield Section(
            "Nearest training patients",
            text=("By the distance of the model's own embeddings: alike to the model, which need not be alike.",),
            tables=(Table("Nearest first", ("Patient", "Distance", "What became of them"), rows, words=(0, 2)),),
        )


def outcome_of(explanation: Explanation, patient_id: str) -> str:
    """A training patient's true answer, in words."""
    reference, target = explanation.reference, explanation.question.target
    if reference is None or target not in reference.targets:
        return "not known"
    return plain(told(reference.targets[target], int(np.flatnonzero(reference.ids == patient_id)[0])))


def neighbours_in_words(one: Patient) -> list[str]:
    """The nearest training patients in a line."""
    near = one.of(one.explanation.neighbours)["neighbour"].tolist()
    said = [f"{plain(other)} ({outcome_of(one.explanation, other)})" for other in near[:3]]
    return [f"Nearest training patients: {listed(said)}."] if said else []
