"""Bags: any number of patch embeddings per patient, as pathology pipelines write them for whole slides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fusiondx.core.spec import Spec, spec
from fusiondx.data.cache import Unreadable, UnreadableFileError, content_hash, why
from fusiondx.errors import MissingPackageError

Array = npt.NDArray[Any]

PIECE = 2**16
"""Patches looked at together when a whole file is checked."""


@spec
class Bag(Spec):
    """Patch embeddings whose files stand in column `path` of table `file` (the patient table where left out).

    Each file holds one matrix, patches by features, all of one width: .npy, .safetensors, or .h5 (needs ``pip install
    fusiondx[h5]``); `key` names the matrix where a file holds several. A patient's files together are one bag. In a
    training step at most `sample` patches of a patient are looked at, drawn anew each time; None takes all, as
    prediction does. `on_unreadable` "missing" leaves out files that cannot be used, with a warning, instead of an
    error.

    >>> np.save("S1_patches.npy", np.zeros((120, 8)))  # 120 patches, 8 features each
    >>> fdx.Cohort.from_frame(
    ...     pd.DataFrame({"patient_id": ["S1", "S2"], "patches": ["S1_patches.npy", None]}),
    ...     modalities={"slide": fdx.Bag("patches")},
    ... )
    <Cohort of 2 patients: slide (1); targets: none>
    """

    path: str
    file: str | None = None
    id: str | None = None
    key: str | None = None
    on_unreadable: Unreadable = "error"
    sample: int | None = Field(default=1024, ge=1)
    kind: Literal["bag"] = "bag"
    mask: ClassVar[None] = None


class BagData:
    """Files of patch embeddings in order; headers are read when asked for, patches when used."""

    masks: ClassVar[None] = None

    def __init__(self, spec: Bag, paths: Sequence[Path]) -> None:
        self.spec = spec
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Patches per file, from headers."""
        return np.array([patches for patches, _ in self._shapes], dtype=np.int64)

    @property
    def width(self) -> int:
        """Features per patch. Raises `DataError` where files differ."""
        return self._shapes[0][1] if self._shapes else 0

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        shapes = [matrix(path, self.spec.key).shape for path in self.paths]
        for path, (_, width) in zip(self.paths, shapes, strict=True):
            if width != shapes[0][1]:
                reason = f"has {width} features per patch where {self.paths[0]} has {shapes[0][1]}"
                raise UnreadableFileError(path, reason)
        return shapes

    def patches(self, row: int, which: Array | slice) -> npt.NDArray[np.float32]:
        """Some patches of one file, shape ``(patches, width)``.

        Raises `DataError` where they are not finite, or the file is not the one whose header was read.
        """
        stored = matrix(self.paths[row], self.spec.key)
        if "_shapes" in self.__dict__ and tuple(stored.shape) != tuple(self._shapes[row]):
            raise UnreadableFileError(self.paths[row], "has changed since the cohort was read. Read the cohort again")
        found = np.asarray(stored[which], dtype=np.float32)
        if not np.isfinite(found).all():
            raise UnreadableFileError(self.paths[row], "holds values that are not finite numbers")
        return found

    def check(self) -> list[tuple[Path, str]]:
        """Every file that cannot be used, with the reason. Reads each once."""
        found = [damage for row in range(len(self)) if (damage := self.damage(row))]
        try:
            _ = [] if found else self._shapes
        except UnreadableFileError as error:
            return [(error.path, error.reason)]
        return found

    def damage(self, row: int) -> tuple[Path, str] | None:
        """Why a file cannot be used by itself, if so; reads all of it."""
        try:
            patches, _ = matrix(self.paths[row], self.spec.key).shape
            for start in range(0, patches, PIECE):
                self.patches(row, slice(start, min(start + PIECE, patches)))
        except UnreadableFileError as error:
            return error.path, error.reason
        return None

    def only(self, rows: Sequence[int]) -> BagData:
        """Some of the files, in the order given."""
        return BagData(self.spec, [self.paths[row] for row in rows])

    def content(self, row: int) -> str:
        """What one file holds, wherever it lies: its hash."""
        return content_hash(self.paths[row])

    def digest(self) -> str:
        """SHA-256 over the contents of all files, in order."""
        return hashlib.sha256(" ".join(content_hash(path) for path in self.paths).encode()).hexdigest()


def matrix(path: Path, key: str | None) -> Any:
    """The matrix in a file, of which nothing but the header has been read where the format allows.

    Raises `UnreadableFileError`, and `MissingPackageError` for HDF5 without h5py.
    """
    try:
        found = READERS.get(path.suffix.lower(), unknown)(path, key)
    except (UnreadableFileError, MissingPackageError):
        raise
    except OSError as error:
        raise UnreadableFileError(path, why(error)) from error
    except Exception as error:  # readers raise many kinds for damaged files
        raise UnreadableFileError(path, "damaged or truncated") from error
    if len(found.shape) != 2 or 0 in found.shape:
        size = "x".join(map(str, found.shape)) or "a single number"
        raise UnreadableFileError(path, f"holds {size}, not patches by features")
    if np.dtype(found.dtype).kind not in "fiu":
        raise UnreadableFileError(path, "does not hold numbers")
    return found


def from_npy(path: Path, key: str | None) -> Any:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise UnreadableFileError(path, "holds several arrays. Save one as .npy")
    return array


def from_safetensors(path: Path, key: str | None) -> Any:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:  # NumPy knows no bfloat16
        return Slices(file, only(path, list(file.keys()), key))


class Slices:
    """One matrix of a safetensors file, read as float32 where it is asked for."""

    NUMBERS = ("F16", "BF16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64")

    def __init__(self, file: Any, name: str) -> None:
        self.part = file.get_slice(name)
        self.shape = tuple(self.part.get_shape())
        self.dtype = np.dtype("f4" if self.part.get_dtype() in self.NUMBERS else "O")

    def __getitem__(self, which: Array | slice) -> Array:
        if isinstance(which, slice):
            return np.asarray(self.part[which].float())
        first, last = int(which.min()), int(which.max()) + 1
        return np.asarray(np.asarray(self.part[first:last].float())[which - first])


def from_h5(path: Path, key: str | None) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("HDF5 files need h5py: pip install fusiondx[h5].") from error

    file = h5py.File(path, "r")
    matrices = [name for name, found in file.items() if isinstance(found, h5py.Dataset) and found.ndim >= 2]
    # pipelines write coordinates, (patches, 2), beside the features
    name = key or ("features" if "features" in matrices else only(path, matrices, None))
    if name not in file or not isinstance(file[name], h5py.Dataset):
        raise UnreadableFileError(path, f"holds no dataset '{name}'")
    return Ascending(file[name])


class Ascending:
    """A dataset of an HDF5 file, which reads rows in ascending order only."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.shape = tuple(dataset.shape)
        self.dtype = dataset.dtype

    def __getitem__(self, which: Array | slice) -> Array:
        if isinstance(which, slice):
            return np.asarray(self.dataset[which])
        first, last = int(which.min()), int(which.max()) + 1
        # a span, and not a list of rows, which h5py reads one by one
        return np.asarray(np.asarray(self.dataset[first:last])[which - first])


def only(path: Path, names: list[str], key: str | None) -> str:
    """The name of the one matrix meant."""
    if key is not None and key in names:
        return key
    if key is None and len(names) == 1:
        return names[0]
    raise UnreadableFileError(path, f"holds {len(names)} matrices. Say which with `key`")


def unknown(path: Path, key: str | None) -> Any:
    raise UnreadableFileError(path, "not a bag: .npy, .safetensors, .h5 and .hdf5 are read")


READERS = {".npy": from_npy, ".safetensors": from_safetensors, ".h5": from_h5, ".hdf5": from_h5}
