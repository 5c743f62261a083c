"""The contracts of the three components: encoder, fusion, head.

Each comes as two things in one file: a frozen spec, and the module it builds once sizes are known.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusiondx.core.batch import Items, Truth
from fusiondx.core.predictions import Prediction
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import Array, TargetValues
from fusiondx.core.tokens import Tokens


@dataclass(frozen=True)
class TableShape:
    """What an encoder of a table or of genomics reads.

    Fields: ``numeric`` Float ``(items, len(numeric))``, standardised, without gaps;
    ``codes`` Int ``(items, len(categories))`` where column j counts from 0 (unseen or missing) to ``categories[j]``.
    """

    numeric: tuple[str, ...]
    categories: tuple[int, ...] = ()
    kind: ClassVar[Literal["table"]] = "table"


@dataclass(frozen=True)
class ImageShape:
    """What an image encoder reads.

    Field: ``pixels`` Float ``(items, channels, *size)``, normalised by constants fitted on training patients, so that
    absolute brightness survives. `size` is (height, width), or (depth, height, width) for a volume. Where masks are
    used as a channel, it is the last one.

    Where masks are something to learn (`segmented`), there are two more fields: ``mask`` Float ``(items, 1, *size)``, 1
    in the tumour, else 0; ``masked`` Bool ``(items,)``, whether an item has a mask at all.
    """

    channels: int
    size: tuple[int, ...]
    segmented: bool = False

    @property
    def kind(self) -> Literal["image", "volume"]:
        return "image" if len(self.size) == 2 else "volume"


@dataclass(frozen=True)
class BagShape:
    """What an encoder of bags reads: one item per patch, as many as each patient has.

    Field: ``patches`` Float ``(items, width)``, standardised by constants fitted on training patients.
    """

    width: int
    kind: ClassVar[Literal["bag"]] = "bag"


Shape = TableShape | ImageShape | BagShape


@spec
class RawImages(Spec):
    """What an extractor looks at: images as the cohort holds them, before anything is fitted on patients."""

    channels: int
    size: tuple[int, ...]
    masked: bool = False
    """Whether tumour masks come with them."""
    white: float | None = None
    """The largest value an image can hold, 255 or 65,535; None where values are in physical units."""


class Extractor(nn.Module, ABC):
    """Describes an image by named features that training does not change, so that each image is looked at once."""

    names: tuple[str, ...]
    """Of the features."""
    images: RawImages
    """What it looks at."""
    recipe: str
    """Everything that decides its features but the image and the weights."""

    @abstractmethod
    def forward(
        self, pixels: Float[Tensor, channels * size], mask: Bool[Tensor, 1 * size] | None
    ) -> Float[Tensor, " features"]:
        """The features of one image, NaN where one is undefined; a mask of an image that has none is all False."""


class Encoder(nn.Module, ABC):
    """Turns the items of one modality into tokens."""

    @abstractmethod
    def forward(self, items: Items) -> Tokens:
        """Tokens of width `dim`; a patient without items gets none. Usually ends in ``items.tokens(values)``."""


@runtime_checkable
class Primed(Protocol):
    """An encoder with something to fit before training that gradients do not reach, such as principal components."""

    def prime(self, items: Items) -> None:
        """Fit it on the items of all training patients; results live in buffers, saved with the weights."""


@runtime_checkable
class Regularised(Protocol):
    """An encoder that adds something of its own to the loss, such as a price on attending to many columns."""

    def penalty(self) -> Float[Tensor, ""]:
        """What the last forward pass costs, already weighted; zero or more."""


@runtime_checkable
class Segmenting(Protocol):
    """An encoder that says where the tumour is."""

    @property
    def segments(self) -> bool:
        """Whether it was built to."""

    def segment(self, items: Items) -> Float[Tensor, "items 1 *size"]:
        """Logits of tumour for every pixel."""


@runtime_checkable
class Mapped(Protocol):
    """An image encoder that tells where feature maps become tokens, so that class activation maps can be drawn."""

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        """The layers that are given the maps, ``(items, channels, *smaller)`` each; pixels need not go through one.
        None where there are no such maps."""


@runtime_checkable
class Paced(Protocol):
    """An encoder parts of which learn more slowly than the rest of the network, as pretrained ones should."""

    def paces(self) -> Mapping[nn.Parameter, float]:
        """The factor on the learning rate of each parameter that does not learn at full pace."""


class Fusion(nn.Module, ABC):
    """Reads the tokens of all modalities and forms one or more opinions per patient."""

    @abstractmethod
    def forward(self, tokens: Mapping[str, Tokens]) -> Tokens:
        """Opinions of width `dim`. Every patient has at least one, also a patient with no tokens at all."""

    @abstractmethod
    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        """One answer per patient from the answers to its opinions."""


class EarlyFusion(Fusion):
    """One opinion per patient, formed from all modalities at once; the answer to it is the answer."""

    @abstractmethod
    def fuse(self, tokens: Mapping[str, Tokens]) -> Float[Tensor, "batch dim"]:
        """The opinion on each patient, also on one with no tokens at all."""

    def forward(self, tokens: Mapping[str, Tokens]) -> Tokens:
        return Tokens.full(self.fuse(tokens).unsqueeze(1))

    def decide(
        self, answers: Float[Tensor, "batch opinions outputs"], mask: Bool[Tensor, "batch opinions"]
    ) -> Float[Tensor, "batch outputs"]:
        return answers[:, 0]


class LateFusion(Fusion):
    """One opinion per modality, its mean token; `decide` combines the answers to them.

    Opinions come in the order of `names`. The last one is of nothing, learnt, and counts where a patient has no other.
    """

    def __init__(self, names: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.names = names
        self.nothing = nn.Parameter(torch.zeros(dim))

    def forward(self, tokens: Mapping[str, Tokens]) -> Tokens:
        opinions = torch.stack([tokens[name].mean() for name in self.names], dim=1)
        mask = torch.stack([tokens[name].present for name in self.names], dim=1)
        nothing = self.nothing.expand(len(mask), 1, -1)
        return Tokens(torch.cat([opinions, nothing], dim=1), torch.cat([mask, ~mask.any(dim=1, keepdim=True)], dim=1))


@runtime_checkable
class Attending(Protocol):
    """A fusion that tells where it looked."""

    attention: Mapping[str, Tensor]
    """From the last forward pass, by modality: how much each query looked at each token, mean over attention heads,
    of shape ``(batch, queries, tokens)``; zero at masked positions. Without gradient; not saved."""


class Head(nn.Module, ABC):
    """Answers one question: opinion -> answer, its loss, and the prediction that an answer stands for."""

    @abstractmethod
    def forward(self, opinions: Float[Tensor, "batch opinions dim"]) -> Float[Tensor, "batch opinions outputs"]:
        """Raw answers (logits, log hazards, standardised values), opinion by opinion."""

    @abstractmethod
    def loss(self, answers: Float[Tensor, "batch outputs"], truth: Truth) -> Float[Tensor, ""]:
        """Mean loss over patients whose truth is known; zero, still differentiable, where nothing can be learnt."""

    @abstractmethod
    def predict(self, answers: Array, ids: npt.NDArray[Any]) -> Prediction:
        """The prediction that `answers`, of shape ``(patients, outputs)``, stand for."""


@runtime_checkable
class Settled(Protocol):
    """A head whose predictions need something beyond weights, such as a baseline hazard."""

    def settle(self, answers: Array, truth: TargetValues) -> None:
        """Fit it, after training, on the training patients; results live in buffers, saved with the weights."""


@runtime_checkable
class Stratified(Protocol):
    """A head whose predictions may depend on a group that each patient belongs to."""

    stratum_column: str | None
    """The column of the patient table that names the group; None where there are no groups."""

    def predict_within(self, answers: Array, ids: npt.NDArray[Any], strata: Array) -> Prediction:
        """As `Head.predict`, for patients of these groups, by name; blank where unknown."""


class EncoderSpec(Protocol):
    """Settings of an encoder; `accepts` names the kinds of shape it reads."""

    @property
    def accepts(self) -> tuple[str, ...]: ...

    def build(self, shape: Shape, dim: int) -> Encoder: ...


@runtime_checkable
class ExtractingSpec(Protocol):
    """Settings of an encoder that may read extracted features; `build` then gets a `TableShape` of them."""

    def extractor(self, images: RawImages) -> Extractor | None:
        """The extractor, which may look at the images at a size of its own; None where pixels are read.

        Asked for what its extractor looks at, it gives the same extractor again.
        """


class FusionSpec(Protocol):
    """Settings of a fusion."""

    def build(self, names: tuple[str, ...], dim: int) -> Fusion: ...


class HeadSpec(Protocol):
    """Settings of a head; `answers` names the kind of target it is for."""

    @property
    def answers(self) -> str: ...

    def build(self, target: TargetValues, dim: int) -> Head: ...
