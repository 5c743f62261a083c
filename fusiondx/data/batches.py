"""Batches: a cohort as tensors, a few patients at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusiondx.core.batch import Batch, Items, Truth
from fusiondx.core.components import BagShape, ImageShape, Shape, TableShape
from fusiondx.core.targets import TargetValues
from fusiondx.data.augmentation import CHANCES, Augmentation, Chances
from fusiondx.data.bags import BagData
from fusiondx.data.cache import gather
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.preprocess import AnyPreparation, BagPreparation, ImagePreparation, TablePreparation
from fusiondx.data.tables import TableData

Ints = npt.NDArray[np.int64]
Preparations = Mapping[str, AnyPreparation]

BYTES = 2**27
"""Of patches in one batch when predicting: a batch holds one slide after another, not all at once."""


@dataclass(frozen=True)
class Draw:
    """The chances of one training pass."""

    key: tuple[int, int]
    """Seed and pass."""
    augmentations: Mapping[str, Augmentation]
    """By modality."""

    def chances(self, patients: Ints, counts: Ints) -> Chances:
        """Numbers for every item of some patients; what a patient gets depends on nobody else."""
        drawn = [
            np.random.default_rng((*self.key, patient)).random((count, CHANCES))
            for patient, count in zip(patients, counts, strict=True)
        ]
        return np.concatenate([np.zeros((0, CHANCES)), *drawn])

    def some(self, patient: int, first: int, last: int, most: int | None) -> Ints:
        """At most `most` of the items from `first` to `last`, in order; what a patient gets depends on nobody else."""
        if most is None or last - first <= most:
            return np.arange(first, last)
        random = np.random.default_rng((*self.key, patient))
        return np.sort(first + random.choice(last - first, most, replace=False))


def shape_of(preparation: AnyPreparation) -> Shape:
    """What an encoder behind this preparation reads."""
    if isinstance(preparation, BagPreparation):
        return BagShape(preparation.width)
    if isinstance(preparation, TablePreparation):
        return TableShape(preparation.inputs, preparation.levels)
    return ImageShape(preparation.channels + preparation.masked, preparation.size, preparation.segmented)


class TableSource:
    """A table's rows, prepared once."""

    def __init__(self, preparation: TablePreparation, data: TableData, rows: Ints) -> None:
        self.tensors = {n: torch.from_numpy(a) for n, a in preparation.arrays(data, rows).items()}

    def fields(self, items: Ints) -> dict[str, Tensor]:
        index = torch.from_numpy(items)
        return {name: tensor[index] for name, tensor in self.tensors.items()}


class NothingSource:
    """A modality that no patient of the cohort has."""

    def __init__(self, shape: Shape) -> None:
        if isinstance(shape, BagShape):
            self.tensors = {"patches": torch.zeros(0, shape.width)}
        elif isinstance(shape, ImageShape):
            self.tensors = {"pixels": torch.zeros(0, shape.channels, *shape.size)}
        else:
            codes = torch.zeros(0, len(shape.categories), dtype=torch.int64)
            self.tensors = {"numeric": torch.zeros(0, len(shape.numeric)), "codes": codes}

    def fields(self, items: Ints) -> dict[str, Tensor]:
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

    def fields(self, items: Ints, change: Callable[..., Tensor] | None = None) -> dict[str, Tensor]:
        pixels = gather(self.pixels, self.rows[items]).sub_(self.mean).div_(self.scale)
        if self.masks is not None:  # moved together with what it lies on
            pixels = torch.cat([pixels, gather(self.masks, self.rows[items]).div_(255)], dim=1)
        if change is not None:
            pixels = change(pixels, masked=self.masks is not None)
        if not self.segmented or self.masks is None:
            return {"pixels": pixels}
        return {"pixels": pixels[:, :-1], "mask": pixels[:, -1:], "masked": self.drawn[torch.from_numpy(items)]}


class BagSource:
    """Patches, read from their files as they are asked for; an item is a patch."""

    def __init__(self, preparation: BagPreparation, data: BagData, rows: Ints) -> None:
        self.data, self.rows = data, rows
        self.ends = np.cumsum(data.lengths[rows])
        self.sample = data.spec.sample
        self.mean = np.asarray(preparation.mean, dtype=np.float32)
        self.scale = np.asarray(preparation.scale, dtype=np.float32)

    def fields(self, items: Ints) -> dict[str, Tensor]:
        patches = np.empty((len(items), len(self.mean)), dtype=np.float32)
        file = np.searchsorted(self.ends, items, side="right")
        for n in np.unique(file):
            mine = file == n
            start = self.ends[n] - self.data.lengths[self.rows[n]]
            patches[mine] = self.data.patches(int(self.rows[n]), items[mine] - start)
        patches -= self.mean  # in place: a slide may fill much of the memory there is
        patches /= self.scale
        return {"patches": torch.from_numpy(patches)}


@dataclass(frozen=True)
class Loaded:
    """One modality of a cohort: patient p has the items ``start[p]:start[p + 1]`` of `source`."""

    source: TableSource | ImageSource | BagSource | NothingSource
    start: Ints
    time: Tensor | None = None
    """Of each item, standardised; None where the model reads no times."""

    def items(self, patients: Ints, draw: Draw | None, augmentation: Augmentation | None = None) -> Items:
        if draw is not None and isinstance(self.source, BagSource):
            return self.some(self.source, patients, draw)
        first, last = self.start[patients], self.start[patients + 1]
        counts = last - first
        owner = np.repeat(np.arange(len(patients)), counts)
        offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        if draw is not None and augmentation is not None and isinstance(self.source, ImageSource):
            change = partial(augmentation, chances=draw.chances(patients, counts))
            fields = self.source.fields(first[owner] + offset, change)
        else:
            fields = self.source.fields(first[owner] + offset)
        if self.time is not None:
            fields = {**fields, "time": self.time[torch.from_numpy(first[owner] + offset)]}
        return Items(fields, torch.from_numpy(owner), len(patients))

    def some(self, source: BagSource, patients: Ints, draw: Draw) -> Items:
        """Of every patient's bag a part drawn at random."""
        parts = [draw.some(int(p), int(self.start[p]), int(self.start[p + 1]), source.sample) for p in patients]
        owner = np.repeat(np.arange(len(patients)), [len(part) for part in parts])
        chosen = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        return Items(source.fields(chosen), torch.from_numpy(owner), len(patients))

    @property
    def bytes(self) -> Ints:
        """Of each patient's patches, all of them."""
        width = len(self.source.mean) if isinstance(self.source, BagSource) else 0
        return 4 * width * np.diff(self.start)


class Prepared:
    """A cohort made ready for a network: tables as tensors, images to be read from the cache."""

    def __init__(self, cohort: Cohort, preparations: Preparations) -> None:
        self.ids = cohort.ids
        self.loaded = {name: load(cohort, name, preparation) for name, preparation in preparations.items()}
        self.targets = {name: truth(values) for name, values in cohort.targets.items()}

    def items(self, name: str) -> Items:
        """One modality's items of all patients."""
        return self.loaded[name].items(np.arange(len(self.ids)), None)

    def parts(self, patients: Ints, size: int) -> list[Ints]:
        """Near-equal parts of at most `size` patients, in order; of no more than `BYTES` of patches unless one has."""
        weight = sum((loaded.bytes for loaded in self.loaded.values()), np.zeros(len(self.ids), np.int64))[patients]
        if not weight.any():
            return np.array_split(patients, max(1, -(-len(patients) // size)))
        cuts, held, first = [], 0, 0
        for n, mine in enumerate(weight):
            if n > first and (n - first == size or held + mine > BYTES):
                cuts.append(n)
                held, first = 0, n
            held += int(mine)
        return np.split(patients, cuts)

    def batch(self, patients: Ints, draw: Draw | None = None) -> Batch:
        index = torch.from_numpy(patients)
        changes = draw.augmentations if draw else {}
        inputs = {name: loaded.items(patients, draw, changes.get(name)) for name, loaded in self.loaded.items()}
        targets = {
            name: Truth({n: v[index] for n, v in t.fields.items()}, t.known[index]) for name, t in self.targets.items()
        }
        return Batch(tuple(self.ids[patients]), inputs, targets)


class Batches:
    """Iterates over some patients of a cohort, as often as wanted.

    With a `seed`, every pass is shuffled anew by (seed, pass): training data is never seen in table order. Passes
    differ, runs with the same seed do not. Images are then changed by the `augmentations` of their modality.
    """

    def __init__(
        self,
        prepared: Prepared,
        patients: Ints,
        size: int,
        *,
        seed: int | None = None,
        augmentations: Mapping[str, Augmentation] | None = None,
    ) -> None:
        self.prepared = prepared
        self.patients = patients
        self.size = size
        self.seed = seed
        self.augmentations = augmentations or {}
        self.passes = 0

    def __len__(self) -> int:
        if self.seed is None:
            return len(self.prepared.parts(self.patients, self.size))
        return -(-len(self.patients) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        if self.seed is None:
            for patients in self.prepared.parts(self.patients, self.size):
                yield self.prepared.batch(patients)
            return
        random = np.random.default_rng((self.seed, self.passes))
        order = random.permutation(self.patients)
        draw = Draw((self.seed, self.passes), self.augmentations)
        self.passes += 1
        # near-equal parts: no last batch of one patient, whose risk set or batch statistics would be empty
        for patients in np.array_split(order, len(self)):
            yield self.prepared.batch(patients, draw)


def load(cohort: Cohort, name: str, preparation: AnyPreparation) -> Loaded:
    """One modality made ready; a cohort that lacks it altogether has patients without items."""
    modality = cohort.modalities.get(name)
    position, rows = modality.locate(np.arange(len(cohort))) if modality else (np.zeros(0, int), np.zeros(0, int))
    start = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=len(cohort)))]).astype(np.int64)
    if modality is None or not len(rows):
        return Loaded(NothingSource(shape_of(preparation)), start)
    time = None if modality.time is None else standardised(modality.time[rows], preparation)
    if isinstance(preparation, TablePreparation) and isinstance(modality.data, TableData):
        return Loaded(TableSource(preparation, modality.data, rows), start, time)
    if isinstance(preparation, BagPreparation) and isinstance(modality.data, BagData):
        patches = np.concatenate([[0], np.cumsum(modality.data.lengths[rows])])
        return Loaded(BagSource(preparation, modality.data, rows), patches[start].astype(np.int64))
    assert isinstance(preparation, ImagePreparation)
    assert isinstance(modality.data, ImageData)
    return Loaded(ImageSource(preparation, modality.data, rows), start, time)


def standardised(time: npt.NDArray[np.floating[Any]], preparation: AnyPreparation) -> Tensor | None:
    """Times of observation as a network reads them; None for one that reads none."""
    if isinstance(preparation, BagPreparation) or preparation.clock is None:
        return None
    mean, spread = preparation.clock
    return torch.from_numpy((time - mean) / spread).float()


def truth(values: TargetValues) -> Truth:
    """True values as tensors."""
    return Truth(
        {n: torch.from_numpy(np.ascontiguousarray(v)) for n, v in values.fields.items()}, torch.from_numpy(values.known)
    )
