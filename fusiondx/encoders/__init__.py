"""Encoders: the items of one modality become tokens. One family per file; this union is where they are named."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.encoders.alexnet import AlexNet
from fusiondx.encoders.backbone import Backbone
from fusiondx.encoders.convnet import ConvNet
from fusiondx.encoders.fcn import FCN
from fusiondx.encoders.fttransformer import FTTransformer
from fusiondx.encoders.mlp import MLP
from fusiondx.encoders.smallcnn import SmallCNN
from fusiondx.encoders.snn import SNN
from fusiondx.encoders.tabnet import TabNet
from fusiondx.encoders.unet import UNet

AnyEncoder = Annotated[
    MLP | SNN | TabNet | FTTransformer | ConvNet | SmallCNN | AlexNet | FCN | UNet | Backbone,
    Field(discriminator="kind"),
]

DEFAULT = {"table": MLP(), "genomics": SNN(), "image": ConvNet(), "volume": ConvNet()}
"""What a modality of each kind gets when nothing is said."""

__all__ = [
    "DEFAULT",
    "FCN",
    "MLP",
    "SNN",
    "AlexNet",
    "AnyEncoder",
    "Backbone",
    "ConvNet",
    "FTTransformer",
    "SmallCNN",
    "TabNet",
    "UNet",
]
