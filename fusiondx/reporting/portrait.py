"""Pictures of one patient: panels that are drawn into a page as SVG, or beside each other onto a sheet as PNG.

Beside `figures`, whose style it takes, the only file that knows matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusiondx.errors import RunError
from fusiondx.reporting.figures import INK, SERIES, as_svg, styled
from fusiondx.reporting.words import number, plain, short, signed
from fusiondx.survival.estimators import Curve

Floats = npt.NDArray[np.floating[Any]]
DOWN, UP = SERIES[0], SERIES[1]
"""Blue pushes a number down, vermillion up."""
SHEET = 11.0
"""Inches a sheet is wide."""


@dataclass(frozen=True)
class Picture:
    """Panels beside each other; a notebook shows it."""

    png: bytes

    def _repr_png_(self) -> bytes:
        return self.png

    def save(self, path: str | Path) -> Path:
        """Write it to a PNG file. Raises `RunError` where that cannot be written."""
        try:
            Path(path).write_bytes(self.png)
        except OSError as error:
            raise RunError(f"The picture could not be written to {path}: {error.strerror or error}.") from error
        return Path(path)


@dataclass(frozen=True)
class Panel:
    """One picture, drawn when its place is known."""

    title: str
    draw: Callable[[Any], None]
    """Onto a matplotlib figure, or a part of one."""
    alt: str
    height: float = 3.0
    """In inches; the width is 5."""


def drawn(panel: Panel) -> str:
    """The panel alone, as SVG for a page."""
    with styled(panel.alt):
        figure = Figure(figsize=(5.0, panel.height), layout="constrained")
        panel.draw(figure)
        return as_svg(figure, panel.alt)


def sheet(title: str, lines: Sequence[str], panels: Sequence[Panel]) -> bytes:
    """All panels in two columns below a title and some lines of text, as PNG on white."""
    with styled(title):
        rows = [panels[i : i + 2] for i in range(0, len(panels), 2)]
        heights = [0.75 + 0.21 * len(lines), *(max(panel.height for panel in row) + 0.35 for row in rows)]
        figure = Figure(figsize=(SHEET, sum(heights)), facecolor="white", layout="constrained")
        head, *places = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        head.text(0.012, 0.93, short(title, 80), va="top", fontsize=16, fontweight="bold")
        said = "\n".join(short(line, 150) for line in lines)
        head.text(0.012, 1 - 0.55 / heights[0], said, va="top", linespacing=1.5)
        for place, row in zip(places, rows, strict=True):
            for part, panel in zip(list(place.subfigures(1, 2, squeeze=False)[0]), row, strict=False):
                part.suptitle(short(panel.title, 60), x=0.024, ha="left", fontsize=10.5, fontweight="bold")
                panel.draw(part)
        return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """The figure as a picture of pixels."""
    held = BytesIO()
    figure.set_dpi(120)
    FigureCanvasAgg(figure).print_png(held, metadata={"Software": None})
    return held.getvalue()


def sizes(names: Sequence[str], values: Floats, axis: str) -> Callable[[Any], None]:
    """Bars for what has no direction."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.barh(range(len(values)), values, color=SERIES[2], height=0.62)
        for row, value in enumerate(values):
            beside(axes, row, float(value), number(float(value)), right=True)
        ruled(axes, [short(name, 34) for name in names], axis)

    return draw


def pushes(names: Sequence[str], values: Floats, axis: str) -> Callable[[Any], None]:
    """Bars to the left for what pushes a number down and to the right for what pushes it up."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        colours = [UP if value > 0 else DOWN for value in values]
        axes.barh(range(len(values)), values, color=colours, height=0.62)
        for row, value in enumerate(values):
            beside(axes, row, float(value), signed(float(value)), right=value > 0)
        ruled(axes, [short(name, 34) for name in names], f"Push on the {axis}")
        axes.axvline(0, color=INK, linewidth=0.8)

    return draw


def waterfall(names: Sequence[str], values: Floats, start: float, end: float, axis: str) -> Callable[[Any], None]:
    """From the number where nothing is known to the number that is explained, a step for each name."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        before = start + np.concatenate([[0.0], np.cumsum(values)[:-1]])
        for row, (left, value) in enumerate(zip(before, values, strict=True), start=1):
            axes.barh(row, value, left=left, color=UP if value > 0 else DOWN, height=0.62)
            beside(axes, row, float(left + value), signed(float(value)), right=value > 0)
        for row, value in ((0, start), (len(values) + 1, end)):
            axes.plot([value], [row], marker="D", color=INK, markersize=5)
            beside(axes, row, value, number(value), right=True)
        path = np.concatenate([[start], start + np.cumsum(values), [end]])
        for row, x in enumerate(path[:-1]):
            axes.plot([x, x], [row, row + 1], color=INK, linewidth=0.7, alpha=0.5, zorder=0)
        ruled(axes, ["nothing known", *(short(name, 34) for name in names), "all that is known"], axis.capitalize())

    return draw


def beside(axes: Any, row: float, x: float, text: str, right: bool) -> None:
    """A number at the end of a bar."""
    axes.annotate(
        text,
        (x, row),
        xytext=(5 if right else -5, 0),
        textcoords="offset points",
        va="center",
        ha="left" if right else "right",
    )


def ruled(axes: Any, names: Sequence[str], axis: str) -> None:
    """Names from top to bottom, with room for the numbers beside the bars."""
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=plain(axis), ylim=(len(names) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.use_sticky_edges = False  # bars stick to their ends, where numbers stand
    axes.margins(x=0.2)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)


def chances(names: Sequence[str], values: Floats, marked: int) -> Callable[[Any], None]:
    """A bar for each probability; the explained one set off."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        colours = [SERIES[2] if place == marked else SERIES[5] for place in range(len(values))]
        axes.barh(range(len(values)), values, color=colours, height=0.62)
        for row, value in enumerate(values):
            beside(axes, row, float(value), number(float(value)), right=True)
        ruled(axes, [short(name, 34) for name in names], "Probability")
        axes.set_xlim(0, 1.18)
        axes.set_xticks(np.linspace(0, 1, 6))

    return draw


@dataclass(frozen=True)
class Lifetime:
    """A patient's predicted survival, among others'."""

    times: Floats
    own: Floats
    others: Floats
    """Predicted for the other patients, shape ``(patients, times)``."""
    observed: Curve | None
    """Of the other patients, by Kaplan and Meier; None where their outcomes are not known."""
    horizon: float
    unit: str


def lifetime(shown: Lifetime) -> Callable[[Any], None]:
    """The patient's curve over the middle half of the others' curves; a mark at the horizon."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        times = np.concatenate([[0.0], shown.times])
        whole = {"linewidth": 2.2, "color": UP, "label": "this patient, predicted"}
        if len(shown.others):
            low, high = np.quantile(shown.others, [0.25, 0.75], axis=0)
            low, high = np.concatenate([[1.0], low]), np.concatenate([[1.0], high])
            name = "middle half of the training patients, predicted"
            axes.fill_between(times, low, high, step="post", color=SERIES[5], alpha=0.25, linewidth=0, label=name)
        if shown.observed is not None:
            at = np.concatenate([[0.0], shown.observed.times])
            line = {"color": INK, "linewidth": 1.1, "linestyle": (0, (4, 2)), "alpha": 0.7}
            axes.step(at, shown.observed.at(at), where="post", label="training patients, observed", **line)
        axes.step(times, np.concatenate([[1.0], shown.own]), where="post", **whole)
        axes.axvline(shown.horizon, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set(xlabel=f"Time ({plain(shown.unit)})", ylabel="Event-free", ylim=(-0.02, 1.02), xlim=(0, times[-1]))
        axes.legend(loc="best", fontsize=8)

    return draw


def position(value: float, others: Floats, axis: str) -> Callable[[Any], None]:
    """Where a number lies among those of other patients."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        if len(others):
            axes.hist(
                others, bins=min(30, max(5, len(others) // 5)), color=SERIES[5], alpha=0.5, label="training patients"
            )
        axes.axvline(value, color=UP, linewidth=2.2, label="this patient")
        axes.set(xlabel=plain(axis), ylabel="Patients")
        axes.legend(fontsize=8)

    return draw


@dataclass(frozen=True)
class Photograph:
    """An image, or one slice of a volume, and what was found in it."""

    pixels: Floats
    """Between 0 and 1, shape ``(height, width)`` or ``(height, width, 3)``."""
    heat: Floats | None
    """Shape ``(height, width)``; None where there is no map."""
    tumour: Floats | None
    """Probability of tumour, same shape; None where none was drawn."""


def photograph(shown: Photograph) -> Callable[[Any], None]:
    """The image as it is, and beside it with its heat map and the outline of the predicted tumour."""

    def draw(figure: Any) -> None:
        count = 1 if shown.heat is None and shown.tumour is None else 2
        for place, axes in enumerate(np.atleast_1d(figure.subplots(1, count))):
            axes.imshow(shown.pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_axis_off()
            if place and shown.heat is not None:
                axes.imshow(glow(shown.heat), interpolation="bilinear")
            if place and shown.tumour is not None and shown.tumour.min() < 0.5 <= shown.tumour.max():
                axes.contour(shown.tumour, levels=[0.5], colors=["#ffe066"], linewidths=1.4)

    return draw


def glow(heat: Floats) -> Floats:
    """Red for up and blue for down, the clearer the stronger; see-through where nothing happened."""
    strength = np.abs(heat) / max(float(np.quantile(np.abs(heat), 0.995)), 1e-30)
    colours = np.where((heat > 0)[..., None], (0.90, 0.25, 0.05), (0.05, 0.45, 0.95))
    return np.concatenate([colours, 0.75 * strength.clip(0, 1)[..., None]], axis=-1)
