"""DenseNet."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import nn

from fusiondx.core.components import Encoder, ImageShape, Shape
from fusiondx.core.spec import Spec, spec
from fusiondx.encoders.wholemap import WholeMapEncoder


@spec
class DenseNet(Spec):
    """DenseNet (Huang et al. 2017) through MONAI, in 2-D or 3-D, from scratch; one token per image, or `grid` cells.

    Each of `blocks` has so many layers, each adding `growth` channels that all later ones read. The defaults suit a few
    hundred patients; DenseNet-121 is blocks (6, 12, 24, 16), initial 64, growth 32. `norm` "layer" makes patients
    independent of each other in small batches, "batch" is as published.

    >>> encoders = {"image": fdx.DenseNet(blocks=(2, 2), growth=4)}
    >>> model = fdx.FusionModel(encoders, training=quick).fit(train)
    >>> model.predict_proba(test).shape
    (23, 2)
    """

    blocks: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(3, 3, 3), min_length=1)
    initial: int = Field(default=16, ge=2)
    growth: int = Field(default=8, ge=1)
    norm: Literal["layer", "batch"] = "layer"
    dropout: float = Field(default=0.3, ge=0, lt=1)
    grid: int = Field(default=1, ge=1, le=16)
    kind: Literal["densenet"] = "densenet"
    accepts: ClassVar[tuple[str, ...]] = ("image", "volume")

    def build(self, shape: Shape, dim: int) -> Encoder:
        from monai.networks import nets  # here, because it takes seconds to import

        assert isinstance(shape, ImageShape)
        net = nets.DenseNet(
            spatial_dims=len(shape.size),
            in_channels=shape.channels,
            out_channels=1,
            init_features=self.initial,
            growth_rate=self.growth,
            block_config=self.blocks,
            # one group is a layer normalisation, and divides any number of channels
            norm=("group", {"num_groups": 1}) if self.norm == "layer" else "batch",
        )
        return WholeMapEncoder(nn.Sequential(net.features, nn.ReLU()), shape, dim, self.dropout, self.grid, self.kind)
