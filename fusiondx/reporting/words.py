"""How a report writes names and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fusiondx.evaluation.estimate import Estimate, Outcome
from fusiondx.evaluation.metrics import METRICS

NOTHING = "\u2013"
ROLES = {"model": "fusion model", "modality": "single modality", "baseline": "baseline"}

WIDTH = 110
"""Columns of a terminal that a printed table takes."""

# Control characters, lone surrogates and bidirectional overrides can garble a terminal, an SVG or a line of text
_UNPRINTABLE = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "),
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd"),
}


def plain(text: object) -> str:
    """`text` on one line, without characters that cannot be printed."""
    return str(text).translate(_UNPRINTABLE)


def short(text: object, most: int) -> str:
    """`text` cut to at most `most` characters."""
    line = plain(text)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def title(metric: str) -> str:
    """A metric's name for readers."""
    return METRICS[metric].title if metric in METRICS else plain(metric)


def number(value: float | None) -> str:
    """Three decimals below 10 and fewer above; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return NOTHING
    decimals = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0
    text = f"{value:,.{decimals}f}"
    return text.removeprefix("-") if not float(text.replace(",", "")) else text.replace("-", "\u2212")


def signed(value: float) -> str:
    """A difference, with its sign."""
    text = number(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def spread(low: float, high: float) -> str:
    """An interval in words, kept on one line: ``0.79 to 0.88``."""
    return f"{number(low)}\u00a0to\u00a0{number(high)}"


def outcome(result: Outcome) -> str:
    """``0.842 (0.801 to 0.879)``, or that it is undefined."""
    if not isinstance(result, Estimate):
        return "undefined"
    return f"{number(result.value)} ({spread(result.low, result.high)})"


def count(value: object) -> str:
    """A whole number, or a dash."""
    return f"{value:,}" if isinstance(value, int) else NOTHING


def duration(seconds: float | None) -> str:
    """``4.2 s``, ``3.5 min``, or a dash."""
    if seconds is None:
        return NOTHING
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:,.1f} min"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table, its head first, as lines no wider than `WIDTH`: columns that find no room go below, beside the first
    column again."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    blocks: list[list[int]] = []
    for column in range(1, len(widths)):
        if not blocks or sum(widths[c] + 2 for c in blocks[-1]) + widths[column] > WIDTH:
            blocks.append([0])
        blocks[-1].append(column)
    for n, block in enumerate(blocks):
        if n:
            yield ""
        yield from ("  ".join(row[c].ljust(widths[c]) for c in block).rstrip() for row in rows)
