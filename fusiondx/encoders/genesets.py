"""Gene sets: read from a GMT file or told from column names, and laid over the columns of a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from fusiondx.errors import ConfigError, DataError

GeneSets = Mapping[str, tuple[str, ...]]


def read_gmt(file: Path) -> dict[str, tuple[str, ...]]:
    """The sets of a GMT file: per line a name, a description and genes, apart by tabs.

    Raises `ConfigError` for a file that cannot be read and `DataError`, naming the line, for one that is malformed.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"sets: {file} cannot be read ({type(error).__name__}). Give the path of a GMT file, or 'suffix' or "
            "'prefix' to group columns by their names."
        ) from None
    sets: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip():
            name, genes = read_line(line, f"{file.name}, line {number}")
            if name in sets:
                raise DataError(f"{file.name}, line {number}: the set '{name}' is there twice. Give each set one line.")
            sets[name] = genes
    if not sets:
        raise DataError(f"{file.name} holds no gene sets. It needs a line for each: name, description, genes.")
    return sets


def read_line(line: str, where: str) -> tuple[str, tuple[str, ...]]:
    """Name and genes of one set; a gene named twice counts once."""
    name, *rest = (cell.strip() for cell in line.split("\t"))
    genes = tuple(dict.fromkeys(gene for gene in rest[1:] if gene))
    if not name or not genes:
        lacking = "genes" if name else "name"
        raise DataError(f"{where}: a set without {lacking}. Write name, description and genes, apart by tabs.")
    return name, genes


def by_affix(columns: Iterable[str], affix: str, separator: str = "_") -> dict[str, tuple[str, ...]]:
    """Columns grouped by what follows the last separator (`affix` "suffix") or comes before the first ("prefix")."""
    groups: dict[str, list[str]] = defaultdict(list)
    for column in columns:
        before, found, after = column.rpartition(separator) if affix == "suffix" else column.partition(separator)
        if found and before and after:
            groups[after if affix == "suffix" else before].append(column)
    return {name: tuple(members) for name, members in groups.items()}


def gene_of(column: str, strip: Iterable[str]) -> str:
    """The gene a column is of: what ``*`` stands for in the first of the patterns it fits, or else its whole name."""
    for pattern in strip:
        start, _, end = pattern.partition("*")
        if len(column) > len(start) + len(end) and column.startswith(start) and column.endswith(end):
            return column[len(start) : len(column) - len(end)]
    return column
