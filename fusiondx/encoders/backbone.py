"""Any timm backbone by name."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.batchnorm import through
from fusiondx.errors import ConfigError, MissingPackageError, did_you_mean


@spec
class Backbone(Spec):
    """A timm image model without its classifier; one token per image. `pretrained` needs timm's model hub."""

    name: str = "resnet18"
    pretrained: bool = False
    kind: Literal["backbone"] = "backbone"
    accepts: ClassVar[tuple[str, ...]] = ("image",)

    def build(self, shape: Shape, dim: int) -> Encoder:
        assert isinstance(shape, ImageShape)
        return BackboneEncoder(self, shape, dim)


class BackboneEncoder(Encoder):
    def __init__(self, spec: Backbone, shape: ImageShape, dim: int) -> None:
        super().__init__()
        self.body = create(spec, shape)
        self.project = nn.Linear(self.body.num_features, dim)

    def forward(self, items: Items) -> Tokens:
        pixels = items.fields["pixels"]
        if not len(items):
            return items.tokens(pixels.new_zeros(0, 1, self.project.out_features))
        return items.tokens(self.project(through(self.body, pixels)).unsqueeze(1))


def create(spec: Backbone, shape: ImageShape) -> Any:
    """The network behind a name. Raises `ConfigError` for an unknown one or weights that cannot be had."""
    timm = import_timm()
    if not timm.is_model(spec.name.split(".")[0]):
        raise ConfigError(f"No timm model is called '{spec.name}'.{did_you_mean(spec.name, timm.list_models())}")
    settings: dict[str, Any] = {"num_classes": 0, "in_chans": shape.channels}
    try:
        try:  # vision transformers must know the size, convolutional networks refuse to be told
            return timm.create_model(spec.name, pretrained=spec.pretrained, img_size=shape.size, **settings)
        except TypeError:
            return timm.create_model(spec.name, pretrained=spec.pretrained, **settings)
    except (OSError, RuntimeError, ValueError) as error:
        if not spec.pretrained:
            raise
        raise ConfigError(
            f"The pretrained weights of '{spec.name}' could not be fetched from timm's model hub. "
            "Check the network, or set pretrained to false."
        ) from error


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
