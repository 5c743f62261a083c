"""Explaining: from a fitted model and patients to an `Explanation`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pandas as pd
from torch import Tensor

from fusiondx.answering import Answering
from fusiondx.data.cohort import Cohort
from fusiondx.data.images import ImageData
from fusiondx.data.preprocess import TablePreparation
from fusiondx.errors import ConfigError, did_you_mean
from fusiondx.explain import attention, features
from fusiondx.explain.case import Case, Reader
from fusiondx.explain.columns import Label, labels
from fusiondx.explain.explanation import Explanation
from fusiondx.explain.features import TableEncoder
from fusiondx.explain.heat import HeatMaps, Method
from fusiondx.explain.modalities import by_modality
from fusiondx.explain.neighbours import COLUMNS as NEIGHBOURS
from fusiondx.explain.neighbours import nearest
from fusiondx.explain.places import Mapper, mappers, together
from fusiondx.explain.question import Scale, asked
from fusiondx.extraction import extracted
from fusiondx.segmentation import Segmentation

if TYPE_CHECKING:
    from fusiondx.model import FusionModel
    from fusiondx.stacking.stack import Stack

FRAMES: Mapping[str, tuple[str, ...]] = {
    "features": features.COLUMNS,
    "pathways": features.SETS,
    "completeness": features.GAPS,
    "attention": attention.COLUMNS,
}
"""Columns of the frames that are gathered batch by batch."""


def explain(
    model: FusionModel,
    cohort: Cohort,
    read: Reader,
    target: str | None,
    label: str | None,
    horizon: float | None,
    scale: Scale,
    method: Method,
    reference: Cohort | None,
) -> Explanation:
    """See `FusionModel.explain`; `read` makes a cohort ready for the model's networks."""
    if method not in get_args(Method):
        raise ConfigError(f"method: '{method}'. Choose one of: {', '.join(get_args(Method))}.")
    whole = of_modalities(model, cohort, list(model.preparations_), target, label, horizon, scale, reference)
    cohort, known = whole.cohort, whole.reference
    case = Case(model, cohort, read, whole.question, whole.prediction)
    tables = features.table_encoders(case, extracted(cohort, model.extractors_), known)
    mapped = mappers(case, method)
    frames, maps = gathered(case, tables, mapped)
    return replace(
        whole,
        features=frames["features"],
        pathways=frames["pathways"],
        completeness=frames["completeness"],
        attention=frames["attention"],
        maps=maps,
        segmentations=drawn(model, cohort),
        neighbours=nearest(model, cohort, known),
        notes=tuple(silences(case, tables, mapped, known)),
    )


def explain_stack(
    model: Stack,
    cohort: Cohort,
    target: str | None,
    label: str | None,
    horizon: float | None,
    scale: Scale,
    reference: Cohort | None,
) -> Explanation:
    """See `Stack.explain`: what needs nothing of a model but that it predicts."""
    whole = of_modalities(model, cohort, model.modalities_, target, label, horizon, scale, reference)
    return replace(whole, notes=(OF_STACKS,))


def of_modalities(
    model: FusionModel | Stack,
    cohort: Cohort,
    reads: Collection[str],
    target: str | None,
    label: str | None,
    horizon: float | None,
    scale: Scale,
    reference: Cohort | None,
) -> Explanation:
    """What each of the modalities that a model `reads` added to its predictions, and nothing else."""
    name = chosen(model, target)
    known = getattr(model, "cohort_", None) if reference is None else reference
    cohort = cohort.select(modalities=[name for name in cohort.modalities if name in reads])
    said = model.predict(cohort)[name]
    question = asked(said, name, label, horizon, scale)
    values, modalities = by_modality(model, cohort, question, said)
    return Explanation(
        question=question,
        cohort=cohort,
        prediction=said,
        values=values,
        modalities=modalities,
        **{frame: pd.DataFrame(columns=list(columns)) for frame, columns in FRAMES.items()},
        maps={},
        segmentations={},
        neighbours=pd.DataFrame(columns=list(NEIGHBOURS)),
        reference=known,
        reference_prediction=None if known is None else model.predict(known)[name],
        notes=(),
    )


OF_STACKS = (
    "A stack of models is explained by modality alone: its trees have no slopes to follow to columns or to places, and "
    "its members no embedding in common."
)


def chosen(model: Answering, target: str | None) -> str:
    """The target asked for. Raises `ConfigError` where that is not clear."""
    known = list(model.targets_)
    if target is None and len(known) > 1:
        raise ConfigError(f"The model has several targets. Say which one to explain: {', '.join(known)}.")
    if target is not None and target not in known:
        raise ConfigError(f"The model has no target '{target}'.{did_you_mean(target, known)}")
    return target or known[0]


def gathered(
    case: Case, tables: Sequence[TableEncoder], mapped: Sequence[Mapper]
) -> tuple[dict[str, pd.DataFrame], dict[str, HeatMaps]]:
    """All that is worked out a few patients at a time."""
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    maps: dict[str, list[Tensor]] = defaultdict(list)
    names = column_names(case)
    for probe, at in case.probes():
        for table in tables:
            for frame, part in features.attributions(table, probe, at, case.cohort.ids).items():
                parts[frame].append(part)
        for mapper in mapped:
            maps[mapper.modality].append(mapper.maps(probe, at))
        parts["attention"].append(attention.looked(probe, case.cohort.ids[at], names))
    frames = {name: joined(parts[name], columns) for name, columns in FRAMES.items()}
    return frames, {mapper.modality: together(case, mapper, maps[mapper.modality]) for mapper in mapped}


def joined(parts: Sequence[pd.DataFrame], columns: tuple[str, ...]) -> pd.DataFrame:
    """The parts one below the other."""
    held = [part for part in parts if len(part)]
    return pd.concat(held, ignore_index=True) if held else pd.DataFrame(columns=list(columns))


def column_names(case: Case) -> dict[str, list[Label]]:
    """The columns that each encoder of tables reads."""
    prepared = case.model.preparations_
    return {
        name: labels(read, prepared)
        for name, read in case.reads.items()
        if all(isinstance(prepared[part], TablePreparation) for part in read)
    }


def drawn(model: FusionModel, cohort: Cohort) -> Mapping[str, Segmentation]:
    """The tumours the model sees, of a model that draws them and patients who have such images."""
    here = any(name in cohort.modalities and cohort.modalities[name].present.any() for name in model.segments_)
    return model.segment(cohort) if here else {}


def silences(case: Case, tables: Sequence[TableEncoder], mapped: Sequence[Mapper], known: Cohort | None) -> list[str]:
    """What is not explained, and why."""
    told, places = {table.name for table in tables}, {mapper.modality for mapper in mapped}
    why = "the average training patient is not known. Pass reference, the training cohort"
    reason = why if known is None else "its encoder keeps them where they are not found"
    columns = [f"'{n}': its columns are not attributed, for {reason}." for n in column_names(case) if n not in told]
    images = [n for n, m in case.cohort.modalities.items() if isinstance(m.data, ImageData)]
    without = [n for n in images if n not in places]
    return columns + [f"'{n}': no heat maps, for its encoder allows none by this method." for n in without]
