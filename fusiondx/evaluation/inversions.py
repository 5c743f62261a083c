"""Weighted inversions: for each item, the weight of those that come later and rank lower, and the converse.

This is what concordance counts. Items in order are cut into r parts, each of these into r again, and so on until parts
hold one item. Two items part at one level only. There they lie in one node, in different parts of it; sorted by rank
and taken in blocks of r, pairs within a block are a product of an r x r matrix of zeros and ones with the weights, and
pairs across blocks a running sum of weights per part. So nothing is compiled, everything is a matrix product or a sum
that a processor's cache holds, and time grows as n r log n / log r.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]

LARGEST_BASE = 64
CACHED = 2**16


@dataclass(frozen=True)
class Level:
    """One level of the division."""

    order: Ints
    """Items by node, then by rank. Shape ``(nodes, blocks, base)``."""
    part: npt.NDArray[np.uint8]
    """The part of its node that each lies in, in that order. Shape ``(nodes, blocks, base)``."""

    def turned(self) -> Level:
        """The same with items in reverse order and of reverse rank."""
        last = self.part.shape[-1] - 1
        return Level(self.order[:, ::-1, ::-1], (last - self.part)[:, ::-1, ::-1])

    def add(self, given: Floats, result: Floats) -> None:
        """Add to `result`, per item, the weight `given` to those in later parts of its node and lower in rank."""
        nodes, blocks, base = self.part.shape
        step = max(1, CACHED // base**2)
        for node in range(0, nodes, step if blocks == 1 else 1):
            before = None if blocks == 1 else np.zeros((base, given.shape[1]), given.dtype)
            here = slice(node, node + step) if blocks == 1 else node
            order, part = self.order[here].reshape(-1, base), self.part[here].reshape(-1, base)
            for start in range(0, len(order), step):
                chunk = slice(start, start + step)
                before = _add(order[chunk], part[chunk], given, result, before)


@dataclass(frozen=True)
class Inversions:
    """The division of some items, made once for any number of weights."""

    items: int
    levels: tuple[Level, ...]

    @classmethod
    def of(cls, rank: Ints) -> Inversions:
        """Of items whose ranks, each number from 0 once, are given in order."""
        items = len(rank)
        depth, base = division(items)
        order = np.arange(base**depth)
        order[rank] = np.arange(items)
        levels = []
        for level in range(depth):
            size = base ** (depth - level - 1)
            part = (order // size % base).astype(np.uint8)
            shape = base**level, size, base
            levels.append(Level(order.reshape(shape), part.reshape(shape)))
            inside = np.argsort(part.reshape(base**level, -1), axis=1, kind="stable")
            order = np.take_along_axis(order.reshape(base**level, -1), inside, axis=1).ravel()
        return cls(items, tuple(levels))

    def lower_later(self, weight: Floats) -> Floats:
        """Per item, the weight of those later in order and lower in rank; `weight` and result ``(items, sets)``."""
        return self._sum(self.levels, weight)

    def higher_earlier(self, weight: Floats) -> Floats:
        """Per item, the weight of those earlier in order and higher in rank; `weight` and result ``(items, sets)``."""
        return self._sum([level.turned() for level in self.levels], weight)

    def _sum(self, levels: Iterable[Level], weight: Floats) -> Floats:
        result = np.zeros((self.levels[0].order.size, weight.shape[1]), weight.dtype)
        given = np.concatenate([weight, result[self.items :]])
        for level in levels:
            level.add(given, result)
        return result[: self.items]


def division(items: int) -> tuple[int, int]:
    """How many levels there are, and into how many parts each divides."""
    depth = 1
    while LARGEST_BASE**depth < items:
        depth += 1
    base = max(1, round(items ** (1 / depth)))
    return depth, base + (base**depth < items)


def _add(order: Ints, part: Ints, given: Floats, result: Floats, before: Floats | None) -> Floats | None:
    """As `Level.add`, for some blocks of a node; `before` and what comes back are the weight of lower blocks in parts
    beyond each, ``(base, sets)``, or None where blocks are nodes."""
    rows, base = order.ravel(), part.shape[1]
    weight = given.take(rows, axis=0).reshape(*part.shape, -1)
    pairs = (part[:, :, None] < part[:, None, :]) & np.tri(base, k=-1, dtype=bool)
    found = np.matmul(pairs.astype(weight.dtype), weight).reshape(len(rows), -1)
    if before is not None:
        beyond = part[:, None, :] > np.arange(base, dtype=np.uint8)[:, None]
        total = np.empty((len(part) + 1, *before.shape), weight.dtype)
        total[0] = before
        np.matmul(beyond.astype(weight.dtype), weight, out=total[1:])
        for block in range(len(part)):  # several times as quick as NumPy's running sum over an outer axis
            total[block + 1] += total[block]
        place = np.arange(len(part))[:, None] * base + part
        found += total[:-1].reshape(-1, found.shape[1]).take(place.ravel(), axis=0)
        before = total[-1]
    found += result.take(rows, axis=0)
    result[rows] = found
    return before
