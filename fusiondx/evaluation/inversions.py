"""Weighted inversions: for each item, the weight of those that come later and rank lower, and the converse.

This is what concordance counts. Items in order are cut into r parts, each of these into r again, and so on until parts
hold one item. Two items part at one level only. There they lie in one node, in different parts of it; sorted by rank
and taken in blocks of r, pairs within a block are a product of an r x r matrix of zeros and ones with the weights, and
pairs across blocks a running sum of weights per part. So nothing is compiled, everything is a matrix product or a sum
that a processor's cache holds, and time grows as n r log n / log r.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]

LARGEST_BASE = 64
CACHED = 2**16


@dataclass(frozen=True)
class Level:
    """One level of the division."""

    order: Ints
    """Items by node, then by rank. Shape ``(nodes, blocks, base)``."""
    part: npt.NDArray[np.uint8]
    """The part of its node that each lies in, in that order. Shape ``(nodes, blocks, base)``."""

    def add(self, given: Floats, found: Floats) -> None:
        """Add to ``found[0]`` the weight ``given[0]`` of items in later parts of the node and lower in rank, to
        ``found[1]`` the weight ``given[1]`` of those in earlier parts and higher in rank, per item."""
        _, blocks, base = self.part.shape
        part = self.part.reshape(-1, base)
        later, earlier = given.take(self.order.reshape(-1, base), axis=1)
        sums = np.empty((2, *part.shape), given.dtype)
        for chunk in _chunks(len(part), base):
            pairs = _pairs(part[chunk]).astype(given.dtype)
            np.matmul(pairs, later[chunk, :, None], out=sums[0, chunk, :, None])
            np.matmul(earlier[chunk, None, :], pairs, out=sums[1, chunk, None, :])
        if blocks > 1:
            cell = (np.arange(len(part))[:, None] * base + part).ravel()
            down, up = (_table(cell, weight, self.part.shape) for weight in (later, earlier))
            sums[0] += _beyond(down).take(cell).reshape(part.shape)
            sums[1] += _beyond(up[:, ::-1, ::-1])[:, ::-1, ::-1].take(cell).reshape(part.shape)
        found[:, self.order.ravel()] += sums.reshape(2, -1)

    def total(self, weight: Floats, first: Bools) -> Floats:
        """Weight of all pairs that part here, the earlier and higher one of which is among `first`, for each set."""
        nodes, blocks, base = self.part.shape
        found = np.zeros(weight.shape[1])
        if blocks == 1:
            order, part = self.order.reshape(-1, base), self.part.reshape(-1, base)
            for chunk in _chunks(nodes, base):
                own = _taken(weight, order[chunk])
                found += _inside(part[chunk], first[order[chunk]], own)
            return found
        for order, part in zip(self.order, self.part, strict=True):
            before = np.zeros((base, weight.shape[1]), weight.dtype)
            for chunk in _chunks(blocks, base):
                own, among = _taken(weight, order[chunk]), first[order[chunk]]
                found += _inside(part[chunk], among, own)
                places = np.arange(base, dtype=np.uint8)[:, None]
                mine = (part[chunk, None, :] == places) & among[:, None, :]
                sums = np.empty((len(own) + 1, *before.shape), weight.dtype)
                sums[0] = before
                np.matmul((part[chunk, None, :] > places).astype(weight.dtype), own, out=sums[1:])
                for block in range(len(own)):  # several times as quick as NumPy's running sum over an outer axis
                    sums[block + 1] += sums[block]
                found += product(np.matmul(mine.astype(weight.dtype), own), sums[:-1])
                before = sums[-1]
        return found


@dataclass(frozen=True)
class Inversions:
    """The division of some items, made once for any weights."""

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

    def sums(self, later: Floats, earlier: Floats) -> tuple[Floats, Floats]:
        """Per item, the weight `later` of those later in order and lower in rank, and the weight `earlier` of those
        earlier in order and higher in rank. All of shape ``(items,)``."""
        given = np.zeros((2, self.levels[0].order.size), np.result_type(later, earlier))
        given[:, : self.items] = later, earlier
        found = np.zeros_like(given)
        for level in self.levels:
            level.add(given, found)
        return found[0, : self.items], found[1, : self.items]

    def total(self, weight: Floats, first: Bools) -> Floats:
        """Sum over pairs of the product of their weights, where the earlier one is among `first` and ranks higher.

        `weight` is ``(items, sets)``, `first` ``(items,)``; shape ``(sets,)``. Sums of weights, and pairs of
        `LARGEST_BASE` items, must be exact in the number format of `weight`; the rest is added up in 64 bits.
        """
        spare = self.levels[0].order.size - self.items
        given = np.concatenate([weight, np.zeros((spare, weight.shape[1]), weight.dtype)])
        among = np.concatenate([first, np.zeros(spare, dtype=bool)])
        return np.asarray(np.sum([level.total(given, among) for level in self.levels], axis=0))


def division(items: int) -> tuple[int, int]:
    """How many levels there are, and into how many parts each divides."""
    depth = 1
    while LARGEST_BASE**depth < items:
        depth += 1
    base = max(1, round(items ** (1 / depth)))
    return depth, base + (base**depth < items)


def _chunks(blocks: int, base: int) -> list[slice]:
    """Blocks in turn, as many as a processor's cache holds pairs of."""
    step = max(1, CACHED // base**2)
    return [slice(start, start + step) for start in range(0, blocks, step)]


def _pairs(part: npt.NDArray[np.uint8]) -> Bools:
    """Which second items of a block, sorted by rank, lie in a later part than which first and rank lower."""
    return np.asarray((part[:, :, None] < part[:, None, :]) & np.tri(part.shape[1], k=-1, dtype=bool))


def _inside(part: npt.NDArray[np.uint8], first: Bools, own: Floats) -> Floats:
    """Weight of all pairs within blocks, for each set; that of one block must be exact in the number format."""
    below = np.matmul((_pairs(part) & first[:, :, None]).astype(own.dtype), own)
    below *= own
    return np.asarray(below.sum(axis=1).sum(axis=0, dtype=np.float64))


def _taken(weight: Floats, order: Ints) -> Floats:
    return weight.take(order.ravel(), axis=0).reshape(*order.shape, -1)


def product(a: Floats, b: Floats) -> Floats:
    """Sums of the products over all axes but the last, in 64 bits."""
    sets = a.shape[-1]
    total = np.einsum("is,is->s", a.reshape(-1, sets), b.reshape(-1, sets), dtype=np.float64, casting="same_kind")
    return np.asarray(total)


def _table(cell: Ints, weight: Floats, shape: tuple[int, ...]) -> Floats:
    """Sums of `weight` by block and part."""
    return np.bincount(cell, weight.ravel(), weight.size).astype(np.float64).reshape(shape)


def _beyond(sums: Floats) -> Floats:
    """Of ``(nodes, blocks, parts)``: the sums over blocks before each and parts after each."""
    before, beyond = np.zeros_like(sums), np.zeros_like(sums)
    np.cumsum(sums[:, :-1], axis=1, out=before[:, 1:])
    np.cumsum(before[..., :0:-1], axis=2, out=beyond[..., -2::-1])
    return beyond
