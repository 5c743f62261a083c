"""ResNet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.encoders.batchnorm import group_norms
from fusiondx.encoders.wholemap import WholeMapEncoder


@spec
class ResNet(Spec):
    """ResNet (He et al. 2016) through MONAI, in 2-D or 3-D, from scratch; one token per image, or `grid` cells.

    Four stages of `blocks` basic blocks, at `channels` channels each. The defaults are a narrow ResNet-10 for a few
    hundred patients; ResNet-18 is blocks (2, 2, 2, 2), channels (64, 128, 256, 512). `norm` "group" makes patients
    independent of each other in small batches, "batch" is as published. Other ResNets, pretrained ones too, are timm's
    (`Backbone`).

    >>> encoders = {"image": fdx.ResNet(channels=(8, 16, 16, 16))}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(1, 1, 1, 1), min_length=4, max_length=4)
    channels: tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...] = Field(
        default=(16, 32, 64, 128), min_length=4, max_length=4
    )
    norm: Literal["group", "batch"] = "group"
    dropout: float = Field(default=0.3, ge=0, lt=1)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["resnet"] = "resnet"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    def build(self, shape: Shape, dim: int) -> Encoder:
        from monai.networks import nets  # here, because it takes seconds to import

        assert isinstance(shape, ImageShape)
        net = nets.ResNet(
            block="basic",
            layers=list(self.blocks),
            block_inplanes=list(self.channels),
            spatial_dims=len(shape.size),
            n_input_channels=shape.channels,
            conv1_t_stride=2,
            bias_downsample=False,  # a normalisation follows, which takes any bias away
            no_max_pool=True,  # small images cannot spare another halving
            feed_forward=False,
        )
        body = nn.Sequential(net.conv1, net.bn1, net.act, net.layer1, net.layer2, net.layer3, net.layer4)
        if self.norm == "group":  # MONAI hands a norm of one's own to the first layer only
            group_norms(body)
        return WholeMapEncoder(body, shape, dim, self.dropout, self.grid, self.kind)
