"""Encoders: the items of one modality become tokens. One family per file; this union is where they are named."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fusiondx.core.components import EncoderSpec
from fusiondx.encoders.alexnet import AlexNet
from fusiondx.encoders.backbone import Backbone
from fusiondx.encoders.convnet import ConvNet
from fusiondx.encoders.densenet import DenseNet
from fusiondx.encoders.fcn import FCN
from fusiondx.encoders.fttransformer import FTTransformer
from fusiondx.encoders.gatedattention import GatedAttention
from fusiondx.encoders.genegate import GeneGate
from fusiondx.encoders.mlp import MLP
from fusiondx.encoders.pathways import Pathways
from fusiondx.encoders.radiomics import Radiomics
from fusiondx.encoders.resnet import ResNet
from fusiondx.encoders.smallcnn import SmallCNN
from fusiondx.encoders.snn import SNN
from fusiondx.encoders.tabnet import TabNet
from fusiondx.encoders.unet import UNet
from fusiondx.encoders.weights import PACKAGED, packaged

AnyEncoder = Annotated[
    MLP
    | SNN
    | TabNet
    | FTTransformer
    | Pathways
    | GeneGate
    | ConvNet
    | SmallCNN
    | AlexNet
    | FCN
    | UNet
    | DenseNet
    | ResNet
    | Backbone
    | Radiomics
    | GatedAttention,
    Field(discriminator="kind"),
]

DEFAULT: dict[str, EncoderSpec] = {
    "table": MLP(),
    "genomics": SNN(),
    "image": ConvNet(),
    "volume": ConvNet(),
    "bag": GatedAttention(),
}
"""What a modality of each kind gets when nothing is said."""
PRETRAINED = Backbone(name=PACKAGED, pretrained=True, freeze=True)


def default(kind: str) -> EncoderSpec:
    """What a modality of this kind gets when nothing is said: images a pretrained network where one is installed.

    >>> from fusiondx import encoders
    >>> encoders.default("genomics").kind
    'snn'
    """
    return PRETRAINED if kind == "image" and packaged() else DEFAULT[kind]


__all__ = [
    "DEFAULT",
    "FCN",
    "MLP",
    "PRETRAINED",
    "SNN",
    "AlexNet",
    "AnyEncoder",
    "Backbone",
    "ConvNet",
    "DenseNet",
    "FTTransformer",
    "GatedAttention",
    "GeneGate",
    "Pathways",
    "Radiomics",
    "ResNet",
    "SmallCNN",
    "TabNet",
    "UNet",
    "default",
    "packaged",
]
