"""Augmentation: random changes of training images that leave the answer as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from fusiondx.core.spec import Spec, spec
from fusiondx.errors import ConfigError, did_you_mean

Chances = npt.NDArray[np.float64]

CHANCES = 10
"""Numbers between 0 and 1 that decide what happens to one image: 3 mirrors, angle, zoom, 3 shifts, 2 tones."""


@spec
class Augmentation(Spec):
    """Random changes of training images, another each time an image is seen; predictions never see one.

    A mask moves with its image. The chances depend on seed, pass and patient alone, and the images of a patient that
    stand at the same place in two modalities move alike, so that registered modalities stay registered.

    >>> upright = fdx.Augmentation(mirror="left_right", rotate=5)
    >>> settings = fdx.Training(epochs=1, validation=0, augmentation={"image": upright})
    >>> model = fdx.FusionModel({"image": "smallcnn"}, training=settings).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    mirror: Literal["all", "left_right", "none"] = "all"
    """Along which axes, each with chance one half. With ``all``, a square image also along its diagonal."""
    rotate: float = Field(default=15.0, ge=0, le=180)
    """Largest angle in degrees, either way; of a volume, in the plane of its last two axes."""
    zoom: float = Field(default=0.1, ge=0, lt=1)
    """Largest enlargement as a share; the largest shrinking is its inverse."""
    shift: float = Field(default=0.05, ge=0, lt=1)
    """Largest shift along each axis, as a share of the side."""
    brightness: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    """Largest change in brightness, in standard deviations of the training images."""
    contrast: float = Field(default=0.1, ge=0, lt=1)
    """Largest change of contrast, as a share."""

    def __call__(
        self, pixels: Float[Tensor, "items channels *size"], chances: Chances, masked: bool
    ) -> Float[Tensor, "items channels *size"]:
        """The images changed, in place where possible; the last channel is a mask where `masked`."""
        pixels = self.mirrored(pixels, chances[:, :3] < 0.5)
        if self.rotate or self.zoom or self.shift:
            moved(pixels, self.placement(chances[:, 3:8], tuple(pixels.shape[2:])))
        image = pixels[:, : pixels.shape[1] - masked]
        tone(image, *((2 * chances[:, 8:10] - 1) * (self.brightness, self.contrast)).T)
        if masked:
            pixels[:, -1:].round_()
        return pixels

    def mirrored(self, pixels: Tensor, chosen: npt.NDArray[np.bool_]) -> Tensor:
        """Each image mirrored along the axes that its row of `chosen` names."""
        axes = pixels.ndim - 2
        for axis in {"all": range(axes), "left_right": [axes - 1], "none": []}[self.mirror]:
            rows = torch.from_numpy(np.flatnonzero(chosen[:, axis]))
            pixels[rows] = pixels[rows].flip(axis + 2)
        if self.mirror == "all" and axes == 2 and pixels.shape[2] == pixels.shape[3]:
            rows = torch.from_numpy(np.flatnonzero(chosen[:, 2]))
            pixels[rows] = pixels[rows].transpose(2, 3)
        return pixels

    def placement(self, chances: Chances, size: tuple[int, ...]) -> Tensor:
        """Where each image's pixels come from: affine maps of coordinates within -1..1, last axis first."""
        axes, (height, width) = len(size), size[-2:]
        angle = np.deg2rad(self.rotate) * (2 * chances[:, 0] - 1)
        maps = np.zeros((len(chances), axes, axes + 1))
        maps[:, range(axes), range(axes)] = 1
        maps[:, 0, 0] = maps[:, 1, 1] = np.cos(angle)
        maps[:, 0, 1] = -np.sin(angle) * height / width  # a turn in pixels, whatever the sides
        maps[:, 1, 0] = np.sin(angle) * width / height
        maps *= (1 + self.zoom) ** (1 - 2 * chances[:, 1])[:, None, None]
        maps[:, :, axes] = 2 * self.shift * (2 * chances[:, 2 : 2 + axes] - 1)
        return torch.from_numpy(maps).float()


DEFAULTS = {"image": Augmentation(), "volume": Augmentation(mirror="left_right")}
"""By kind of modality. Bodies are not upside down in scanners, photographs and slides may be."""


def augmentations(asked: Mapping[str, Augmentation], kinds: Mapping[str, str]) -> dict[str, Augmentation]:
    """What happens to each modality's images: what is asked, else the default of their kind.

    Raises `ConfigError` where `asked` names a modality that has no images to train on.
    """
    images = {name: DEFAULTS[kind] for name, kind in kinds.items() if kind in DEFAULTS}
    for name in asked:
        if name not in images:
            hint = did_you_mean(name, list(images))
            raise ConfigError(f"training.augmentation: '{name}' is no modality whose images are trained on.{hint}")
    return images | dict(asked)


def moved(pixels: Float[Tensor, "items channels *size"], maps: Float[Tensor, "items axes axes+1"]) -> None:
    """Resample every image, in place; what lies outside is filled by reflection. One by one, so that memory is flat."""
    for image, single in zip(pixels, maps, strict=True):
        grid = functional.affine_grid(single[None], [1, *image.shape], align_corners=False)
        image.copy_(
            functional.grid_sample(image[None], grid, padding_mode="reflection", align_corners=False).squeeze(0)
        )


def tone(pixels: Float[Tensor, "items channels *size"], brightness: Chances, contrast: Chances) -> None:
    """Change brightness and contrast of every image, in place."""
    span = (-1, *[1] * (pixels.ndim - 1))
    centre = pixels.flatten(1).mean(dim=1).view(span)
    gain = torch.from_numpy(1 + contrast).to(pixels.dtype).view(span)
    offset = torch.from_numpy(brightness).to(pixels.dtype).view(span)
    pixels.sub_(centre).mul_(gain).add_(centre + offset)
