"""A page as one HTML file. The only file that knows Jinja."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import Self

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


class Exact(str):
    """A number as a reader sees it, which knows all its digits: the page carries them beside the text."""

    digits: dict[str, str]

    def __new__(cls, text: str, value: float | None, **ends: float) -> Self:
        cell = super().__new__(cls, text)
        given = {"value": value, **{f"data-{name}": end for name, end in ends.items()}}
        cell.digits = {name: repr(float(of)) for name, of in given.items() if of is not None and isfinite(of)}
        return cell


class Link(str):
    """Text that leads to a section of the same page."""

    anchor: str

    def __new__(cls, text: str, anchor: str) -> Self:
        link = super().__new__(cls, text)
        link.anchor = anchor
        return link


@dataclass(frozen=True)
class Table:
    """Cells as text, numbers as `Exact`; the first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lead: int | None = None
    """Row to set off from the others."""
    words: tuple[int, ...] = (0,)
    """Columns that hold words; the others hold numbers."""


@dataclass(frozen=True)
class Drawing:
    """A figure and the numbers behind it."""

    title: str
    svg: str
    """Drawn by `figures`, whose text is escaped: the only markup a page takes from elsewhere."""
    caption: str
    table: Table


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    folded: tuple[Table, ...] = ()
    """Tables shown on request."""
    points: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    shows: tuple[str, ...] = ()
    """What evidence it holds, for checklists."""
    anchor: str = ""
    """By which links find it; set by us, never by data."""


@dataclass(frozen=True)
class Page:
    """A report in the order of reading."""

    title: str
    summary: tuple[tuple[str, str], ...]
    """Target and paragraph."""
    sections: tuple[Section, ...] = field(default=())


def render(page: Page) -> str:
    """`page` as HTML: everything escaped, nothing loaded, no script."""
    environment = Environment(
        loader=PackageLoader("fusiondx.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawn"] = Markup
    return environment.get_template("report.html.j2").render(page=page)
