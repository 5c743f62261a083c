"""Heat maps: where in an image the number came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fusiondx.core.batch import Items
from fusiondx.core.components import Mapped
from fusiondx.explain.probe import Probe

Array = npt.NDArray[Any]
Method = Literal["integrated", "hirescam", "gradcam"]

STEPS = 8
"""Points on the path from an image's mean to the image."""
CELLS = 16
"""Cells a side over which attributions of pixels are averaged: pixel by pixel they are mostly grain."""

INTERPOLATION = {2: "bilinear", 3: "trilinear"}


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """Where one modality's images pushed the number up (above zero) or down (below zero)."""

    modality: str
    ids: Array
    """The patients, shape ``(patients,)``."""
    patient: npt.NDArray[np.int64]
    """The patient, by position in `ids`, of each image; ascending."""
    values: npt.NDArray[np.float32]
    """Shape ``(images, *size)``, the size the cohort is read at."""
    method: str
    """``integrated``, ``hirescam``, ``gradcam`` or, of a vision transformer, ``attention rollout``."""

    def of(self, patient_id: str) -> npt.NDArray[np.float32]:
        """The maps of one patient's images, in order."""
        return np.asarray(self.values[self.ids[self.patient] == patient_id])


def reads_maps(encoder: nn.Module) -> bool:
    """Whether an encoder reads feature maps at layers it tells of."""
    return isinstance(encoder, Mapped) and len(encoder.readers) > 0


def integrated(probe: Probe, name: str) -> Float[Tensor, " items *size"]:
    """Integrated gradients (Sundararajan et al. 2017) of the images that encoder `name` reads, on the straight path
    from each channel's mean over the image; cells of an image averaged.

    They follow every way from the pixels to the number, which no feature map inside a network has all of.
    """
    items = probe.items(name)
    pixels = items.fields["pixels"].detach()
    if not len(items):
        return pixels.sum(dim=1)
    start = pixels.mean(dim=tuple(range(2, pixels.dim())), keepdim=True)
    total = torch.zeros_like(pixels)
    for step in range(STEPS):
        at = torch.lerp(start.expand_as(pixels), pixels, (step + 0.5) / STEPS).requires_grad_()
        number = probe.number(name, Items({**items.fields, "pixels": at}, items.patient, items.patients))
        total += torch.autograd.grad(number.sum(), at)[0] / STEPS
    return smoothed((total * (pixels - start)).sum(dim=1))


def smoothed(heat: Float[Tensor, " items *size"]) -> Float[Tensor, " items *size"]:
    """Averaged over cells, and laid over the image again."""
    size = heat.shape[1:]
    cells = functional.interpolate(heat.unsqueeze(1), [min(CELLS, side) for side in size], mode="area")
    return functional.interpolate(cells, size, mode=INTERPOLATION[len(size)])[:, 0]


def cam(probe: Probe, name: str, method: Method) -> Float[Tensor, " items *size"]:
    """Class activation maps of the images that encoder `name` reads, of all maps its tokens are read from.

    Each map is laid over the image so that its sum stays what it was, and maps and members are added: of a network
    that reads its last map alone this is Grad-CAM or HiResCAM, but for the rectifier, see `activation`.
    """
    items = probe.items(name)
    size = items.fields["pixels"].shape[2:]
    if not len(items):
        return torch.zeros(0, *size)
    maps: list[Tensor] = []
    with ExitStack() as stack:
        for network in probe.networks:
            encoder = network.encoders[name]
            for reader in encoder.readers if isinstance(encoder, Mapped) else ():
                stack.enter_context(watched(reader, maps))
        number = probe.number(name, items)
    slopes = torch.autograd.grad(number.sum(), maps)
    layers = [spread(activation(m.detach(), s, method), size) for m, s in zip(maps, slopes, strict=True)]
    return torch.stack(layers).sum(dim=0)


@contextmanager
def watched(reader: nn.Module, maps: list[Tensor]) -> Iterator[None]:
    """Cut a network before `reader`: the maps it is given become leaves of the graph, and are noted."""

    def cut(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        leaves = [x.detach().requires_grad_() for x in given]
        # the pixels themselves, where they are the first of several, are no feature map
        maps.extend(leaves[1:] if len(leaves) > 1 else leaves)
        return tuple(leaves)

    handle = reader.register_forward_pre_hook(cut)
    try:
        yield
    finally:
        handle.remove()


def activation(
    maps: Float[Tensor, "items channels *smaller"], slopes: Float[Tensor, "items channels *smaller"], method: Method
) -> Float[Tensor, " items *smaller"]:
    """Channels summed, each weighted by its slope: averaged over space as in Grad-CAM (Selvaraju et al. 2017), or cell
    by cell as in HiResCAM (Draelos & Carin 2020).

    Without Grad-CAM's rectifier, so that what speaks against can be seen as well.
    """
    space = tuple(range(2, maps.dim()))
    weights = slopes.mean(dim=space, keepdim=True) if method == "gradcam" else slopes
    return (weights * maps).sum(dim=1)


def spread(heat: Float[Tensor, " items *smaller"], size: Sequence[int]) -> Float[Tensor, " items *size"]:
    """Laid over the image, with the same sum."""
    large = functional.interpolate(heat.unsqueeze(1), tuple(size), mode=INTERPOLATION[len(size)])[:, 0]
    return large * (heat[0].numel() / large[0].numel())
