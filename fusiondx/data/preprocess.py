"""Preprocessing: fitted on training patients only, kept as plain numbers, saved as JSON."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.preprocessing import StandardScaler

from fusiondx.core.spec import Spec, spec
from fusiondx.data.bags import BagData
from fusiondx.data.genomics import Genomics
from fusiondx.data.images import ImageData, depth
from fusiondx.data.reading import LARGEST
from fusiondx.data.tables import TableData
from fusiondx.errors import DataError, FusionDxWarning, counted, did_you_mean, listed

Rows = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

CLIP = 10.0
"""Prepared values are held within this many standard deviations: one absurd cell must not own a gradient."""
BEND = 1.5
"""Spreads from the median up to which values stay about as they are; further out they grow like their logarithm."""
NORMAL_QUARTILES = 1.349
"""Distance of the quartiles of a normal distribution, in deviations."""
SAMPLE = 512
"""Images looked at to fit channel means; spread evenly over the training images."""


@spec
class TablePreparation(Spec):
    """Choice of columns, logarithm, median imputation with indicators, tails drawn in, standardisation, category codes.

    A value x becomes ``(arcsinh((x - median) / (BEND * spread)) - level) / scale``, held within `CLIP`.
    """

    numeric: tuple[str, ...]
    median: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """With `mean`, of the values as they are: what another cohort is compared with."""
    spread: tuple[float, ...]
    """Quartile range in units of a normal deviation; the deviation where half of the values are equal."""
    level: tuple[float, ...]
    scale: tuple[float, ...]
    indicators: tuple[str, ...]
    """Numeric columns that had gaps in training; each gets a 0/1 column that says where."""
    categories: dict[str, tuple[str, ...]]
    log: tuple[str, ...] = ()
    """Numeric columns that become log2(x + 1) before anything else; all other numbers are of that."""
    clock: tuple[float, float] | None = None
    """Mean and spread of the times of observation; None where there are none."""
    kind: Literal["table"] = "table"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the numeric inputs, indicators included."""
        return (*self.numeric, *(f"{name} missing" for name in self.indicators))

    @property
    def useful(self) -> bool:
        """Whether any column is left."""
        return bool(self.numeric or self.categories)

    @property
    def levels(self) -> tuple[int, ...]:
        """Known categories per categorical column."""
        return tuple(len(known) for known in self.categories.values())

    def arrays(self, data: TableData, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """``numeric`` float32 and ``codes`` int64 for these rows; unseen or missing categories are code 0.

        Raises `DataError` where columns are lacking, or negative though their logarithm is taken.
        """
        values = self._numbers(data, rows)
        gaps = np.isnan(values)
        told = np.isin(self.numeric, self.indicators)
        values = bent(np.where(gaps, self.median, values), np.asarray(self.median), np.asarray(self.spread))
        values = np.clip((values - self.level) / self.scale, -CLIP, CLIP).astype(np.float32)
        codes = [self._code(data.categorical[name][rows], known) for name, known in self.categories.items()]
        return {
            "numeric": np.concatenate([values, gaps[:, told].astype(np.float32)], axis=1),
            "codes": np.stack(codes, axis=1) if codes else np.zeros((len(rows), 0), dtype=np.int64),
        }

    def standardised(self, data: TableData, rows: Rows) -> Floats:
        """Numeric columns by mean and deviation of the training patients, held within `CLIP`; gaps and tails stay."""
        return np.asarray(np.clip((self._numbers(data, rows) - self.mean) / self.deviation, -CLIP, CLIP))

    def slope(self, prepared: Floats) -> Floats:
        """How much prepared values, ``(rows, columns)``, move with what they were prepared from; 0 where held."""
        bend = np.asarray(self.scale) * prepared + self.level
        steepness = 1 / (BEND * np.asarray(self.spread) * self.scale * np.cosh(bend))
        return np.where(np.abs(prepared) < CLIP, steepness, 0.0)

    def _numbers(self, data: TableData, rows: Rows) -> Floats:
        self.refuse_lacking("table", data)
        place = {name: i for i, name in enumerate(data.names)}
        columns = np.array([place[name] for name in self.numeric], dtype=np.int64)
        values = data.numeric[np.ix_(rows, columns)].astype(np.float64)
        take_log("table", values, self.numeric, np.isin(self.numeric, self.log))
        return np.asarray(values)

    def unseen(self, data: TableData, rows: Rows) -> dict[str, int]:
        """Patients per categorical column whose category training never saw."""
        counts = {}
        for name, known in self.categories.items():
            values = data.categorical[name][rows]
            counts[name] = sum(value is not None and value not in known for value in values)
        return {name: count for name, count in counts.items() if count}

    def refuse_lacking(self, name: str, data: TableData) -> None:
        """Raise `DataError` where modality `name` lacks columns the model was trained on."""
        known = dict.fromkeys([*data.names, *data.categorical])
        lacking = [column for column in (*self.numeric, *self.categories) if column not in known]
        if lacking:
            raise DataError(
                f"'{name}': the table lacks {counted(len(lacking), 'column')} the model was trained on: "
                f"{listed(lacking)}. Add them (blank cells are fine).{did_you_mean(lacking[0], list(known))}"
            )

    def refuse_negative(self, name: str, data: TableData, rows: Rows) -> None:
        """Raise `DataError` where modality `name` has negative values whose logarithm is to be taken."""
        place = {column: i for i, column in enumerate(data.names)}
        columns = np.array([place[column] for column in self.log], dtype=np.int64)
        take_log(name, data.numeric[np.ix_(rows, columns)], self.log, np.ones(len(columns), dtype=bool))

    @staticmethod
    def _code(values: npt.NDArray[Any], known: tuple[str, ...]) -> npt.NDArray[np.int64]:
        code = {name: i + 1 for i, name in enumerate(known)}
        return np.array([code.get(value, 0) for value in values], dtype=np.int64)


def fit_table(name: str, data: TableData, rows: Rows) -> TablePreparation:
    """Fit on these rows. Columns that are constant or all missing among them are dropped, with a warning, and then
    those that the settings of `Genomics` leave out, with their number. Raises `DataError` for the logarithm of a
    negative value."""
    asked = data.spec if isinstance(data.spec, Genomics) else Genomics()
    # float32 holds an absurd cell as infinite, which has no mean
    values = np.clip(data.numeric[rows], -LARGEST, LARGEST).astype(np.float64)
    log = np.array([asked.logged(column) for column in data.names], dtype=bool)
    take_log(name, values, data.names, log)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an all-missing column has no median; it is dropped below
        median = np.nanmedian(values, axis=0) if len(rows) else np.full(values.shape[1], np.nan)
        extent = np.nanmax(values, axis=0) - np.nanmin(values, axis=0) if len(rows) else median
    gaps = np.isnan(values)
    useful = (extent > 0) | (gaps.any(axis=0) & ~gaps.all(axis=0))
    kept = varied(name, values, np.flatnonzero(useful), asked)
    values, middle = np.where(gaps, median, values)[:, kept], median[kept]
    spread = spread_of(values)
    raw, scaler = (StandardScaler().fit(v) if len(kept) else None for v in (values, bent(values, middle, spread)))
    levels = {
        column: tuple(sorted({v for v in data.categorical[column][rows] if v is not None}))
        for column in data.categorical
    }
    categories = {column: seen for column, seen in levels.items() if len(seen) > 1}
    dropped = [data.names[i] for i in np.flatnonzero(~useful)] + [c for c in levels if c not in categories]
    if dropped:
        warnings.warn(
            f"'{name}': {counted(len(dropped), 'column')} constant or empty among the training patients, "
            f"not used: {listed(dropped)}.",
            FusionDxWarning,
            stacklevel=2,
        )
    return TablePreparation(
        numeric=tuple(data.names[i] for i in kept),
        median=tuple(middle.tolist()),
        mean=tuple(raw.mean_.tolist()) if raw else (),
        deviation=tuple(raw.scale_.tolist()) if raw else (),
        spread=tuple(spread.tolist()),
        level=tuple(scaler.mean_.tolist()) if scaler else (),
        scale=tuple(scaler.scale_.tolist()) if scaler else (),
        indicators=tuple(data.names[i] for i in kept if gaps[:, i].any()),
        categories=categories,
        log=tuple(data.names[i] for i in kept if log[i]),
    )


def spread_of(values: Floats) -> Floats:
    """How far the middle half of a column reaches, as a normal deviation; its deviation where that half is equal."""
    if not len(values):
        return np.ones(values.shape[1])
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    found, deviation = (high - low) / NORMAL_QUARTILES, values.std(axis=0)
    found = np.where(found > 1e-9 * deviation, found, deviation)
    return np.where(found > 0, found, 1.0)


def bent(values: Floats, median: Floats, spread: Floats) -> Floats:
    """Values about their median, with tails drawn in: a straight line in the middle, a logarithm far out."""
    return np.asarray(np.arcsinh((values - median) / (BEND * spread)))


def take_log(name: str, values: Floats, columns: tuple[str, ...], log: Bools) -> None:
    """log2(x + 1) of some columns, in place. Raises `DataError` that names those with negative values."""
    below = [column for column, bad in zip(columns, (values < 0).any(axis=0) & log, strict=True) if bad]
    if below:
        raise DataError(
            f"'{name}': negative values in {counted(len(below), 'column')} whose logarithm is to be taken: "
            f"{listed(below)}. Leave them out of 'log', for they may be logarithms already, or correct the file."
        )
    if log.any():
        values[:, log] = np.log1p(values[:, log]) / np.log(2)


def varied(name: str, values: Floats, candidates: Rows, asked: Genomics) -> Rows:
    """Those of the candidate columns that vary as asked, in their order; a warning counts the others."""
    if not asked.min_variance and (asked.top is None or asked.top >= len(candidates)):
        return candidates
    variance = np.nanvar(values[:, candidates], axis=0)
    enough = np.flatnonzero(variance >= asked.min_variance)
    most = enough[np.argsort(-variance[enough], kind="stable")[: asked.top]]
    if len(most) < len(candidates):
        warnings.warn(
            f"'{name}': {len(most)} of {counted(len(candidates), 'column')} used: "
            f"{len(candidates) - len(enough)} below min_variance, {len(enough) - len(most)} not among the top.",
            FusionDxWarning,
            stacklevel=3,
        )
    return candidates[np.sort(most)]


@spec
class ImagePreparation(Spec):
    """Normalisation of every channel by constants: brightness differences between images survive."""

    channels: int
    size: tuple[int, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    masked: bool = False
    """Whether the tumour mask is the last channel."""
    segmented: bool = False
    """Whether the tumour mask is something to learn."""
    clock: tuple[float, float] | None = None
    """Mean and spread of the times of observation; None where there are none."""
    white: float | None = None
    """The largest value the files can hold; None in physical units, and of models saved before this was kept."""
    kind: Literal["image"] = "image"

    def refuse_other(self, name: str, data: ImageData) -> None:
        """Raise `DataError` where modality `name` holds other images than the model was trained on."""
        found, trained = (data.channels, tuple(data.size)), (self.channels, tuple(self.size))
        if found != trained:
            raise DataError(
                f"'{name}': the images have {found[0]} channels at {found[1]}, the model was trained on "
                f"{trained[0]} at {trained[1]}. Read the cohort with the same `size` and `grey`."
            )
        if self.white is not None and data.white != self.white:
            raise DataError(
                f"'{name}': the images are {depth(data.white)}, the model was trained on {depth(self.white)}. Read "
                "the cohort with the same `intensity`."
            )
        if self.masked and not (data.has_masks and data.spec.mask_use == "channel"):
            raise DataError(
                f"'{name}': the model was trained on images with their masks. Name the column of masks under `mask`, "
                "with `mask_use: channel`; an image without a mask has a blank cell there."
            )


def fit_image(data: ImageData, rows: Rows) -> ImagePreparation:
    """Channel means and standard deviations over a spread of the training images."""
    chosen = np.sort(rows)[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)] if len(rows) else rows
    total, squares, count = np.zeros(data.channels), np.zeros(data.channels), 0
    for row in chosen:  # one at a time: memory stays flat
        pixels = data.pixels()[row].reshape(data.channels, -1).astype(np.float64)
        total += pixels.sum(axis=1)
        squares += (pixels**2).sum(axis=1)
        count += pixels.shape[1]
    mean = total / max(count, 1)
    scale = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0.0))
    uses = data.spec.mask_use if data.spec.mask is not None else "ignore"
    return ImagePreparation(
        channels=data.channels,
        size=tuple(data.size),
        mean=tuple(mean.tolist()),
        scale=tuple(np.where(scale > 0, scale, 1.0).tolist()),
        masked=uses == "channel",
        segmented=uses == "segment",
        white=data.white,
    )


@spec
class BagPreparation(Spec):
    """Standardisation of every feature of a patch."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    kind: Literal["bag"] = "bag"

    @property
    def width(self) -> int:
        """Features per patch."""
        return len(self.mean)


def fit_bag(data: BagData, rows: Rows) -> BagPreparation:
    """Means and standard deviations over a spread of the training patients' patches."""
    chosen = np.sort(rows)[np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(int)]
    scaler = StandardScaler()
    for row in chosen:  # one file at a time: memory stays flat
        length = int(data.lengths[row])
        patches = np.unique(np.linspace(0, length - 1, min(SAMPLE, length)).astype(int))
        scaler.partial_fit(data.patches(row, patches).astype(np.float64))
    return BagPreparation(tuple(scaler.mean_.tolist()), tuple(scaler.scale_.tolist()))


def fit_clock(time: Floats) -> tuple[float, float]:
    """Mean and spread of times of observation."""
    return float(time.mean()), float(time.std()) or 1.0


AnyPreparation = TablePreparation | ImagePreparation | BagPreparation
Preparation = Annotated[AnyPreparation, Field(discriminator="kind")]


def fit(name: str, data: TableData | ImageData | BagData, rows: Rows) -> AnyPreparation:
    """The preparation of one modality, from the rows of training patients."""
    if isinstance(data, BagData):
        return fit_bag(data, rows)
    return fit_table(name, data, rows) if isinstance(data, TableData) else fit_image(data, rows)
