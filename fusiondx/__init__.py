"""Multimodal tumour diagnosis and prognosis: images, clinical tables and genomics in one model, honestly evaluated.

Names load on first use, so that ``import fusiondx`` stays quick and imports no training or plotting library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusiondx.auditing import Audit as Audit
    from fusiondx.auditing import AuditReport as AuditReport
    from fusiondx.auditing import audit as audit
    from fusiondx.coalitions import Coalitions as Coalitions
    from fusiondx.core.targets import Classes as Classes
    from fusiondx.core.targets import CompetingRisks as CompetingRisks
    from fusiondx.core.targets import Labels as Labels
    from fusiondx.core.targets import Number as Number
    from fusiondx.core.targets import Survival as Survival
    from fusiondx.data.augmentation import Augmentation as Augmentation
    from fusiondx.data.bags import Bag as Bag
    from fusiondx.data.cohort import Cohort as Cohort
    from fusiondx.data.design import Design as Design
    from fusiondx.data.design import Planted as Planted
    from fusiondx.data.genomics import Genomics as Genomics
    from fusiondx.data.missingness import MAR as MAR
    from fusiondx.data.missingness import MCAR as MCAR
    from fusiondx.data.missingness import MNAR as MNAR
    from fusiondx.data.missingness import ampute as ampute
    from fusiondx.data.picture import Image as Image
    from fusiondx.data.raster import Region as Region
    from fusiondx.data.synthetic import simulate as simulate
    from fusiondx.data.tables import Table as Table
    from fusiondx.data.treatment import Treatment as Treatment
    from fusiondx.data.volumes import Volume as Volume
    from fusiondx.degrading import degradation as degradation
    from fusiondx.encoders import FCN as FCN
    from fusiondx.encoders import MLP as MLP
    from fusiondx.encoders import SNN as SNN
    from fusiondx.encoders import AlexNet as AlexNet
    from fusiondx.encoders import Backbone as Backbone
    from fusiondx.encoders import ConvNet as ConvNet
    from fusiondx.encoders import DenseNet as DenseNet
    from fusiondx.encoders import FTTransformer as FTTransformer
    from fusiondx.encoders import GatedAttention as GatedAttention
    from fusiondx.encoders import GeneGate as GeneGate
    from fusiondx.encoders import Pathways as Pathways
    from fusiondx.encoders import Radiomics as Radiomics
    from fusiondx.encoders import ResNet as ResNet
    from fusiondx.encoders import SmallCNN as SmallCNN
    from fusiondx.encoders import TabNet as TabNet
    from fusiondx.encoders import UNet as UNet
    from fusiondx.errors import FusionDxError as FusionDxError
    from fusiondx.errors import FusionDxWarning as FusionDxWarning
    from fusiondx.explain.explanation import Explanation as Explanation
    from fusiondx.fusion import Attention as Attention
    from fusiondx.fusion import Bottleneck as Bottleneck
    from fusiondx.fusion import CoAttention as CoAttention
    from fusiondx.fusion import Concat as Concat
    from fusiondx.fusion import Experts as Experts
    from fusiondx.fusion import Gated as Gated
    from fusiondx.fusion import Kronecker as Kronecker
    from fusiondx.fusion import LowRank as LowRank
    from fusiondx.fusion import Mean as Mean
    from fusiondx.fusion import Product as Product
    from fusiondx.fusion import Weighted as Weighted
    from fusiondx.heads import CauseSpecific as CauseSpecific
    from fusiondx.heads import Corn as Corn
    from fusiondx.heads import Cox as Cox
    from fusiondx.heads import DeepHit as DeepHit
    from fusiondx.heads import Diagnosis as Diagnosis
    from fusiondx.heads import Hazards as Hazards
    from fusiondx.heads import MultiLabel as MultiLabel
    from fusiondx.heads import Ordinal as Ordinal
    from fusiondx.heads import Piecewise as Piecewise
    from fusiondx.heads import Regression as Regression
    from fusiondx.modality_use import ModalityAudit as ModalityAudit
    from fusiondx.modality_use import modality_audit as modality_audit
    from fusiondx.model import FusionModel as FusionModel
    from fusiondx.reporting.report import Report as Report
    from fusiondx.sample_size import Power as Power
    from fusiondx.sample_size import power as power
    from fusiondx.stacking.stack import Stack as Stack
    from fusiondx.training import Training as Training
    from fusiondx.validation import Tuned as Tuned
    from fusiondx.validation import bootstrap_632plus as bootstrap_632plus
    from fusiondx.validation import cross_validate as cross_validate
    from fusiondx.validation import evaluate as evaluate
    from fusiondx.validation import external_validate as external_validate
    from fusiondx.validation import nested_cross_validate as nested_cross_validate

_HOMES = {
    "fusiondx.auditing": ("Audit", "AuditReport", "audit"),
    "fusiondx.modality_use": ("ModalityAudit", "modality_audit"),
    "fusiondx.coalitions": ("Coalitions",),
    "fusiondx.core.targets": ("Classes", "CompetingRisks", "Labels", "Number", "Survival"),
    "fusiondx.data.augmentation": ("Augmentation",),
    "fusiondx.data.bags": ("Bag",),
    "fusiondx.data.cohort": ("Cohort",),
    "fusiondx.data.design": ("Design", "Planted"),
    "fusiondx.data.genomics": ("Genomics",),
    "fusiondx.data.missingness": ("MAR", "MCAR", "MNAR", "ampute"),
    "fusiondx.data.picture": ("Image",),
    "fusiondx.data.raster": ("Region",),
    "fusiondx.data.synthetic": ("simulate",),
    "fusiondx.data.tables": ("Table",),
    "fusiondx.data.treatment": ("Treatment",),
    "fusiondx.data.volumes": ("Volume",),
    "fusiondx.degrading": ("degradation",),
    "fusiondx.encoders": (
        "FCN",
        "MLP",
        "SNN",
        "AlexNet",
        "Backbone",
        "ConvNet",
        "DenseNet",
        "FTTransformer",
        "GeneGate",
        "GatedAttention",
        "Pathways",
        "Radiomics",
        "ResNet",
        "SmallCNN",
        "TabNet",
        "UNet",
    ),
    "fusiondx.errors": ("FusionDxError", "FusionDxWarning"),
    "fusiondx.explain.explanation": ("Explanation",),
    "fusiondx.fusion": (
        "Attention",
        "Bottleneck",
        "CoAttention",
        "Concat",
        "Experts",
        "Gated",
        "Kronecker",
        "LowRank",
        "Mean",
        "Product",
        "Weighted",
    ),
    "fusiondx.heads": (
        "CauseSpecific",
        "Corn",
        "Cox",
        "DeepHit",
        "Diagnosis",
        "Hazards",
        "MultiLabel",
        "Ordinal",
        "Piecewise",
        "Regression",
    ),
    "fusiondx.model": ("FusionModel",),
    "fusiondx.reporting.report": ("Report",),
    "fusiondx.stacking.stack": ("Stack",),
    "fusiondx.sample_size": ("Power", "power"),
    "fusiondx.training": ("Training",),
    "fusiondx.validation": (
        "Tuned",
        "bootstrap_632plus",
        "cross_validate",
        "evaluate",
        "external_validate",
        "nested_cross_validate",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fusiondx' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
