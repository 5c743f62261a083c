"""Radiomics: named features of one image, inside its tumour mask where there is one. One family per file."""

from fusiondx.encoders.radiomics.encoder import Radiomics
from fusiondx.encoders.radiomics.families import features

__all__ = ["Radiomics", "features"]
