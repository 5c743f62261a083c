"""Figures as SVG text, and axes for displays. With `portrait` the only file that knows matplotlib.

Every figure is drawn without a background, its ink in the colour of the surrounding text and its series in
``var(--series-N)``, so that a page can show it in light and in dark. The same numbers give the same text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any, Literal
from xml.etree import ElementTree

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fusiondx.errors import counted
from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.reporting.displays import Display
from fusiondx.reporting.panels import GROUPS, RiskGroups
from fusiondx.reporting.words import NOTHING, number, outcome, plain, short
from fusiondx.survival.estimators import Curve

Floats = npt.NDArray[np.floating[Any]]
Role = Literal["model", "modality", "baseline"]

INK = "#010203"  # stands for the colour of the surrounding text
# Blue, vermillion, green, purple, ochre and grey: told apart with any colour vision (after Okabe & Ito 2008)
SERIES = ("#0069a8", "#c44e00", "#007a5a", "#a04585", "#8c6800", "#5a6572")
DASH: Mapping[str, Any] = {"model": "-", "modality": (0, (5, 1.6)), "baseline": (0, (1.2, 1.4))}
MARKER: Mapping[str, str] = {"model": "o", "modality": "D", "baseline": "s"}
_GROUP_STROKES = {GROUPS[0]: (0, "modality"), GROUPS[1]: (1, "model")}

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.labelsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.solid_capstyle": "round",
    **dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], INK),
}


@dataclass(frozen=True)
class Line:
    """One model's curve in a figure."""

    name: str
    role: Role
    x: Floats
    y: Floats
    value: Outcome | None = None
    """What the legend says beside the name."""


def roc(lines: Sequence[Line], alt: str) -> str:
    """ROC curves, the metric of each in the legend."""
    with styled(alt):
        figure, axes = _canvas(3.7 + 0.19 * len(lines), width=4.3)
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.7, alpha=0.35)
        for place, line in enumerate(lines):
            axes.plot(line.x, line.y, **_stroke(place, line.role))
        axes.set(
            xlabel="1 \u2212 specificity", ylabel="Sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal"
        )
        handles = [Line2D([], [], **_stroke(place, line.role)) for place, line in enumerate(lines)]
        _legend(figure, handles, [f"{_value(line.value)} {short(line.name, 40)}" for line in lines], title="AUROC")
        return as_svg(figure, alt)


def confusion(counts: npt.NDArray[np.int64], classes: Sequence[str], alt: str) -> str:
    """Patients by true and predicted class; the deeper a cell, the larger its share of the true class."""
    with styled(alt):
        size = len(counts)
        figure, axes = _canvas(min(5.2, 1.7 + 0.62 * size), width=min(5.0, 2.4 + 0.75 * size))
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        for row, column in np.ndindex(counts.shape):
            depth, corner = 0.06 + 0.54 * float(share[row, column]), (column - 0.48, row - 0.48)
            axes.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=SERIES[0], alpha=depth, linewidth=0))
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=10 if size < 7 else 7)
        names = [short(name, 16) for name in classes]
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), xlabel="Predicted", ylabel="True")
        axes.set_xticks(range(size), names, rotation=0 if size < 4 else 40, ha="center" if size < 4 else "right")
        axes.set_yticks(range(size), names)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return as_svg(figure, alt)


def survival(panel: RiskGroups, unit: str, note: str, alt: str) -> str:
    """Kaplan-Meier curves with 95 % bands and numbers at risk; `note` stands in a corner."""
    with styled(alt):
        figure = Figure(figsize=(5.0, 4.3), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
        most = max(panel.until.values())
        strokes = {name: _stroke(*_GROUP_STROKES[name]) for name in panel.groups}
        for name, group in panel.groups.items():
            _kaplan_meier(axes, group.curve, panel.until[name], strokes[name])
        axes.set(ylabel="Event-free", xlabel=f"Time ({plain(unit)})", ylim=(-0.02, 1.02), xlim=(-0.02 * most, most))
        axes.set_xticks(panel.times)
        axes.tick_params(labelbottom=True)  # shared axes would hide them
        axes.text(0.98, 0.98, plain(note), transform=axes.transAxes, ha="right", va="top")
        _numbers_at_risk(below, panel)
        labels = [f"{name} ({counted(group.patients, 'patient')})" for name, group in panel.groups.items()]
        _legend(figure, [Line2D([], [], **stroke) for stroke in strokes.values()], labels, columns=2)
        return as_svg(figure, alt)


def scatter(true: Floats, predicted: Floats, unit: str, alt: str) -> str:
    """Predicted against true values; on the line they agree."""
    with styled(alt):
        figure, axes = _canvas(4.2)
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        axes.plot(ends, ends, color=INK, linewidth=0.7, alpha=0.45)
        size = 14 if len(true) < 300 else 5
        axes.scatter(true, predicted, s=size, color=SERIES[0], alpha=0.55, linewidths=0)
        of = f" ({plain(unit)})" if unit else ""
        axes.set(xlabel=f"True{of}", ylabel=f"Predicted{of}")
        return as_svg(figure, alt)


def training(history: pd.DataFrame, alt: str) -> str:
    """Loss by epoch on training and on validation patients; folds and members are drawn one over the other."""
    with styled(alt):
        figure, axes = _canvas(3.2)
        runs = [column for column in ("fold", "member") if column in history]
        folds = [part for _, part in history.groupby(runs)] if runs else [history]
        kinds = {"train_loss": ("Training", 0, "modality"), "validation_loss": ("Validation", 1, "model")}
        shown = {column: kind for column, kind in kinds.items() if column in history}
        alpha = 1.0 if len(folds) == 1 else 0.55
        for column, (_, place, role) in shown.items():
            for part in folds:
                loss = part[column].to_numpy(dtype=np.float64, na_value=np.nan)
                axes.plot(part["epoch"].to_numpy(dtype=np.float64), loss, alpha=alpha, **_stroke(place, role))
        axes.set(xlabel="Epoch", ylabel="Loss")
        axes.xaxis.get_major_locator().set_params(integer=True)
        handles = [Line2D([], [], **_stroke(place, role)) for _, place, role in shown.values()]
        _legend(figure, handles, [label for label, *_ in shown.values()], columns=2)
        return as_svg(figure, alt)


def forest(rows: Sequence[tuple[str, Role, Outcome]], metric: str, chance: float | None, alt: str) -> str:
    """Estimates with their intervals, one model below the other; `chance` is marked in each row."""
    with styled(alt):
        figure, axes = _canvas(0.75 + 0.42 * len(rows))
        for place, (name, role, found) in enumerate(rows):
            _interval(axes, place, role, found)
            if chance is not None:  # row by row, so that it strikes through no name
                axes.vlines(chance, place - 0.06, place + 0.34, color=INK, linewidth=0.9, alpha=0.5)
            axes.text(0, place - 0.24, short(name, 44), transform=axes.get_yaxis_transform(), va="center")
            value = outcome(found)
            axes.text(1, place - 0.24, value, transform=axes.get_yaxis_transform(), va="center", ha="right")
        axes.set(ylim=(len(rows) - 0.4, -0.6), xlabel=plain(metric), yticks=[])
        axes.margins(x=0.06)
        axes.spines["left"].set_visible(False)
        return as_svg(figure, alt)


def drawn(display: Display, alt: str) -> str:
    """Any display, as a page shows it."""
    with styled(alt):
        figure, axes = _canvas(display.size[1], display.size[0])
        display.draw(axes)
        return as_svg(figure, alt)


def new_axes(size: tuple[float, float]) -> Any:
    """Axes of a new figure, `size` in inches, for a display of a user's own."""
    return Figure(figsize=size, layout="constrained").subplots()


def _interval(axes: Any, place: int, role: Role, found: Outcome) -> None:
    if not isinstance(found, Estimate) or not np.isfinite(found.value):
        return
    colour, y = SERIES[place % len(SERIES)], place + 0.14
    axes.plot([found.low, found.high], [y, y], color=colour, linewidth=1.8)
    axes.plot([found.value], [y], color=colour, marker=MARKER[role], markersize=6 if role == "model" else 5)


def _kaplan_meier(axes: Any, curve: Curve, until: float, stroke: dict[str, Any]) -> None:
    times = np.concatenate([[0.0], curve.times, [until]])
    values, variance = curve.at(times), np.concatenate([[0.0], curve.variance, [0.0, *curve.variance][-1:]])
    low, high = _band(values, variance)
    axes.fill_between(times, low, high, step="post", color=stroke["color"], alpha=0.13, linewidth=0)
    axes.step(times, values, where="post", **stroke)


def _band(values: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """95 % interval on the log(-log) scale (Kalbfleisch & Prentice 1980); no width at 0 and 1."""
    inside = (values > 0) & (values < 1)
    survival = np.where(inside, values, 0.5)
    width = 1.959964 * np.sqrt(variance) / (survival * np.abs(np.log(survival)))
    low, high = survival ** np.exp(width), survival ** np.exp(-width)
    return np.where(inside, low, values), np.where(inside, high, values)


def _numbers_at_risk(axes: Any, panel: RiskGroups) -> None:
    for row, (name, group) in enumerate(panel.groups.items()):
        colour = SERIES[_GROUP_STROKES[name][0]]
        for time, remaining in zip(panel.times, group.at_risk, strict=True):
            axes.text(time, -row, f"{remaining:,}", ha="center", va="center", color=colour, fontsize=8.5)
    rows = len(panel.groups)
    axes.set_ylim(-rows + 0.4, 0.8)
    axes.set_yticks(range(0, -rows, -1), list(panel.groups), fontsize=8.5)
    axes.set_title("Patients at risk", loc="left", fontsize=8.5)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)


def _canvas(height: float, width: float = 5.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _stroke(place: int, role: str) -> dict[str, Any]:
    wide = 2.0 if role == "model" else 1.4
    return {"color": SERIES[place % len(SERIES)], "linewidth": wide, "linestyle": DASH[role]}


def _legend(figure: Figure, handles: list[Line2D], labels: list[str], columns: int = 1, title: str = "") -> Legend:
    # Labels are put in afterwards: matplotlib drops those that begin with an underscore
    legend = figure.legend(handles, ["name"] * len(handles), loc="outside lower center", ncols=columns, title=title)
    legend.set_alignment("left")
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
    return legend


def _value(found: Outcome | None) -> str:
    return number(found.value) if isinstance(found, Estimate) else NOTHING


@contextmanager
def styled(salt: str) -> Iterator[None]:
    """Our style whatever the user's; ids differ between figures, so that a page can hold several."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts draw the text, not ours
        yield


def as_svg(figure: Figure, alt: str) -> str:
    drawn = StringIO()
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    FigureCanvasSVG(figure).print_svg(drawn, metadata=nothing)  # savefig would draw everything twice
    root = ElementTree.fromstring(drawn.getvalue())
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', drawn.getvalue()))
    for element in root.iter():
        _adapt(element, used)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": plain(alt)}
    root.set("xmlns", "http://www.w3.org/2000/svg")
    return ElementTree.tostring(root, encoding="unicode")


def _adapt(element: ElementTree.Element, used: set[str]) -> None:
    """Drop namespaces and ids nobody refers to; let the page choose colours and fonts."""
    element.tag = element.tag.rpartition("}")[2]
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    element.attrib = {name: _themed(value) for name, value in attributes.items()}


def _themed(value: str) -> str:
    value = value.replace(INK, "currentColor")
    for place, colour in enumerate(SERIES, start=1):
        value = value.replace(colour, f"var(--series-{place}, {colour})")
    return re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", value)
