"""Batches: a cohort as tensors, a few patients at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusiondx.core.batch import Batch, Items, Truth
from fusiondx.core.components import ImageShape, Shape, TableShape
from fusiondx.core.targets import TargetValues
from fusiondx.data.cache import gather
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.preprocess import ImagePreparation, TablePreparation
from fusiondx.data.tables import TableData

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Preparations = Mapping[str, TablePreparation | ImagePreparation]


def shape_of(preparation: TablePreparation | ImagePreparation) -> Shape:
    """What an encoder behind this preparation reads."""
    if isinstance(preparation, TablePreparation):
        return TableShape(preparation.inputs, preparation.levels)
    return ImageShape(preparation.channels + preparation.masked, preparation.size, preparation.segmented)


class TableSource:
    """A table's rows, prepared once."""

    def __init__(self, preparation: TablePreparation, data: TableData, rows: Ints) -> None:
        self.tensors = {n: torch.from_numpy(a) for n, a in preparation.arrays(data, rows).items()}

    def fields(self, items: Ints, flips: Bools | None) -> dict[str, Tensor]:
        index = torch.from_numpy(items)
        return {name: tensor[index] for name, tensor in self.tensors.items()}


class NothingSource:
    """A modality that no patient of the cohort has."""

    def __init__(self, shape: Shape) -> None:
        if isinstance(shape, ImageShape):
            self.tensors = {"pixels": torch.zeros(0, shape.channels, *shape.size)}
        else:
            codes = torch.zeros(0, len(shape.categories), dtype=torch.int64)
            self.tensors = {"numeric": torch.zeros(0, len(shape.numeric)), "codes": codes}

    def fields(self, items: Ints, flips: Bools | None) -> dict[str, Tensor]:
        return self.tensors


class ImageSource:
    """Images, read from the cache as they are asked for."""

    def __init__(self, preparation: ImagePreparation, data: ImageData, rows: Ints) -> None:
        self.rows = rows
        self.pixels = data.pixels()
        self.masks = data.mask_pixels() if preparation.masked or preparation.segmented else None
        self.drawn = torch.tensor([data.masks is not None and data.masks[row] is not None for row in rows])
        self.segmented = preparation.segmented
        span = (-1, *[1] * len(preparation.size))
        self.mean = torch.tensor(preparation.mean).view(span)
        self.scale = torch.tensor(preparation.scale).view(span)

    def fields(self, items: Ints, flips: Bools | None) -> dict[str, Tensor]:
        pixels = gather(self.pixels, self.rows[items]).sub_(self.mean).div_(self.scale)
        if self.masks is not None:  # moved together with what it lies on
            pixels = torch.cat([pixels, gather(self.masks, self.rows[items]).div_(255)], dim=1)
        if flips is not None:
            pixels = flipped(pixels, flips)
        if not self.segmented or self.masks is None:
            return {"pixels": pixels}
        return {"pixels": pixels[:, :-1], "mask": pixels[:, -1:], "masked": self.drawn[torch.from_numpy(items)]}


def flipped(pixels: Tensor, flips: Bools) -> Tensor:
    """Mirror each image along the spatial axes that its row of `flips` names; a square one also along its diagonal."""
    axes = pixels.ndim - 2
    for axis in range(axes):
        chosen = torch.from_numpy(np.flatnonzero(flips[:, axis]))
        pixels[chosen] = pixels[chosen].flip(axis + 2)
    if axes == 2 and pixels.shape[2] == pixels.shape[3]:
        chosen = torch.from_numpy(np.flatnonzero(flips[:, 2]))
        pixels[chosen] = pixels[chosen].transpose(2, 3)
    return pixels


@dataclass(frozen=True)
class Loaded:
    """One modality of a cohort: patient p has the items ``start[p]:start[p + 1]`` of `source`."""

    source: TableSource | ImageSource | NothingSource
    start: Ints

    def items(self, patients: Ints, flips: Bools | None) -> Items:
        first, last = self.start[patients], self.start[patients + 1]
        counts = last - first
        owner = np.repeat(np.arange(len(patients)), counts)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        fields = self.source.fields(first[owner] + offset, None if flips is None else flips[patients][owner])
        return Items(fields, torch.from_numpy(owner), len(patients))


class Prepared:
    """A cohort made ready for a network: tables as tensors, images to be read from the cache."""

    def __init__(self, cohort: Cohort, preparations: Preparations) -> None:
        self.ids = cohort.ids
        self.loaded = {name: load(cohort, name, preparation) for name, preparation in preparations.items()}
        self.targets = {name: truth(values) for name, values in cohort.targets.items()}

    def items(self, name: str) -> Items:
        """One modality's items of all patients."""
        return self.loaded[name].items(np.arange(len(self.ids)), None)

    def batch(self, patients: Ints, flips: Bools | None = None) -> Batch:
        index = torch.from_numpy(patients)
        inputs = {name: loaded.items(patients, flips) for name, loaded in self.loaded.items()}
        targets = {
            name: Truth({n: v[index] for n, v in t.fields.items()}, t.known[index]) for name, t in self.targets.items()
        }
        return Batch(tuple(self.ids[patients]), inputs, targets)


class Batches:
    """Iterates over some patients of a cohort, as often as wanted.

    With a `seed`, every pass is shuffled anew by (seed, pass): training data is never seen in table order. Passes
    differ, runs with the same seed do not. With `augment`, images are mirrored at random, patient by patient.
    """

    def __init__(
        self, prepared: Prepared, patients: Ints, size: int, *, seed: int | None = None, augment: bool = False
    ) -> None:
        self.prepared = prepared
        self.patients = patients
        self.size = size
        self.seed = seed
        self.augment = augment
        self.passes = 0

    def __len__(self) -> int:
        return -(-len(self.patients) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        order, flips = self.patients, None
        if self.seed is not None:
            random = np.random.default_rng((self.seed, self.passes))
            order = random.permutation(self.patients)
            flips = random.random((len(self.prepared.ids), 3)) < 0.5 if self.augment else None
            self.passes += 1
        # near-equal parts: no last batch of one patient, whose risk set or batch statistics would be empty
        for patients in np.array_split(order, len(self)):
            yield self.prepared.batch(patients, flips)


def load(cohort: Cohort, name: str, preparation: TablePreparation | ImagePreparation) -> Loaded:
    """One modality made ready; a cohort that lacks it altogether has patients without items."""
    modality = cohort.modalities.get(name)
    position, rows = modality.locate(np.arange(len(cohort))) if modality else (np.zeros(0, int), np.zeros(0, int))
    start = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=len(cohort)))]).astype(np.int64)
    if modality is None or not len(rows):
        return Loaded(NothingSource(shape_of(preparation)), start)
    if isinstance(preparation, TablePreparation) and isinstance(modality.data, TableData):
        return Loaded(TableSource(preparation, modality.data, rows), start)
    assert isinstance(preparation, ImagePreparation)
    assert isinstance(modality.data, ImageData)
    return Loaded(ImageSource(preparation, modality.data, rows), start)


def truth(values: TargetValues) -> Truth:
    """True values as tensors."""
    return Truth(
        {n: torch.from_numpy(np.ascontiguousarray(v)) for n, v in values.fields.items()}, torch.from_numpy(values.known)
    )
