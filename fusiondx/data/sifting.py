"""Sifting: files that can be used apart from those that cannot, for `on_unreadable` "missing"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from fusiondx.data.bags import BagData
from fusiondx.data.cache import UnreadableFileError, drafting, folder, key, remember, remembered
from fusiondx.data.decoding import strict
from fusiondx.data.images import MASK, ImageData, Refusal, attempted, in_order, joined
from fusiondx.data.picture import fitted

Result = TypeVar("Result")
Refused = dict[int, Refusal]
"""By row: a file that cannot be used, and why."""


def sift(data: ImageData | BagData) -> tuple[ImageData | BagData, Refused]:
    """The files that can be used, and why the others cannot.

    Decodes each image once, into the cache, where the verdict is kept as well; reads each bag once. Raises `DataError`
    where files that could be used do not go together, `RunError` where the cache cannot be written.
    """
    refused = _refused_bags(data) if isinstance(data, BagData) else _refused_images(data)
    return data.only([row for row in range(len(data)) if row not in refused]), refused


def _refused_bags(data: BagData) -> Refused:
    return {row: refusal for row in range(len(data)) if (refusal := data.damage(row))}


def _refused_images(data: ImageData) -> Refused:
    with strict():
        hashes = [_hash(data, row) for row in range(len(data))]
        verdict = folder(data.cache) / f"{key({**data.spec.recipe(), 'made': 'refusals'}, hashes)}.json"
        known = remembered(verdict)
        if known is not None:
            return {row: (_file(data, row, side), reason) for row, side, reason in known}
        refused = _decoded(data)
        # without paths: a file is known by what is in it
        sides = [(row, "image" if path == data.paths[row] else "mask", why) for row, (path, why) in refused.items()]
        remember(verdict, sides)
    return refused


def _hash(data: ImageData, row: int) -> str:
    try:
        return data.content(row, data.spec.mask_use != "ignore")
    except UnreadableFileError as error:
        return error.reason


def _file(data: ImageData, row: int, side: str) -> Path:
    mask = data.masks[row] if data.masks and side == "mask" else None
    return mask or data.paths[row]


def _decoded(data: ImageData) -> Refused:
    """Decode everything once; the arrays of what can be used stay in the cache."""
    refused: Refused = {}
    headers = dict(_sound(data.header, range(len(data)), data, refused))
    layout = joined({data.paths[row]: header for row, header in headers.items()})
    with ExitStack() as stack:
        row = (layout.channels, *data.size)
        pixels = stack.enter_context(drafting(folder(data.cache), row, layout.dtype, len(data)))
        masks = stack.enter_context(drafting(folder(data.cache), (1, *data.size), MASK.dtype, len(data)))
        for _, (image, mask) in _sound(data.both, list(headers), data, refused):
            pixels.add(fitted(image, layout))
            if mask is not None:
                masks.add(mask)
        good = data.only([n for n in headers if n not in refused])
        if len(good) and joined({data.paths[n]: headers[n] for n in headers if n not in refused}) == layout:
            pixels.keep(good.place("pixels"))
            if good.has_masks:
                masks.keep(good.place("masks"))
    return dict(sorted(refused.items()))


def _sound(work: Any, rows: Iterable[int], data: ImageData, refused: Refused) -> Iterator[tuple[int, Any]]:
    """What `work` gives for each row, without those whose files cannot be used; they go to `refused`."""
    tries = [attempted(work, row) for row in rows]
    for row, found in zip(rows, in_order(lambda attempt: attempt(), tries), strict=True):
        if isinstance(found, UnreadableFileError):
            refused[row] = (found.path, found.reason)
        else:
            yield row, found
