"""Attention: what encoders and fusions say themselves of where they looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from fusiondx.core.batch import Items
from fusiondx.core.components import Attending
from fusiondx.core.tokens import Tokens
from fusiondx.encoders.gatedattention import GatedAttentionEncoder
from fusiondx.encoders.genegate import GeneGateEncoder
from fusiondx.encoders.pathways import PathwaysEncoder
from fusiondx.encoders.tabnet import TabNetEncoder
from fusiondx.explain.columns import Label
from fusiondx.explain.probe import Probe

COLUMNS = ("patient_id", "modality", "source", "part", "weight")
Names = npt.NDArray[Any]


def looked(probe: Probe, ids: Names, columns: dict[str, list[Label]]) -> pd.DataFrame:
    """TabNet's masks, gene gates, attention over patches, and a fusion's attention over tokens; mean over members.

    `columns` are those of the tables each encoder reads. One row per patient and part; a part is a column, a patch or
    a token. Of several rows in a table it is the mean. Weights of one source sum to 1 over a patient's parts, but for a
    fusion's: the rest went elsewhere.
    """
    with torch.no_grad():
        frames = [*by_encoder(probe, ids, columns), *by_fusion(probe, ids)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))


def by_encoder(probe: Probe, ids: Names, columns: dict[str, list[Label]]) -> Iterator[pd.DataFrame]:
    """What encoders say."""
    for name in probe.networks[0].encoders:
        items = probe.items(name)
        encoders = [network.encoders[name] for network in probe.networks]
        source = SOURCES.get(type(encoders[0]))
        if source is None or not len(items):
            continue
        weights = torch.stack([said(encoder, items) for encoder in encoders]).mean(dim=0)
        if isinstance(encoders[0], GatedAttentionEncoder):
            owner = ids[items.patient.numpy()]
            first = np.concatenate([np.arange(count) for count in items.counts.tolist()])
            yield rows(owner, name, source, [f"patch {n + 1}" for n in first], weights.mean(dim=1))
            continue
        who, mean = ids[items.present.numpy()], per_patient(weights, items)
        shares: dict[Label, Tensor] = {}
        for label, weight in zip(columns[name], mean.unbind(dim=1), strict=True):
            shares[label] = shares.get(label, torch.zeros(())) + weight  # a value, and that it is missing
        for (modality, column), share in shares.items():
            yield rows(who, modality, source, [column] * len(who), share)


def per_patient(weights: Tensor, items: Items) -> Tensor:
    """The mean over the rows of each patient who has any."""
    total = weights.new_zeros(items.patients, weights.shape[1]).index_add(0, items.patient, weights)
    return total[items.present] / items.counts[items.present, None]


SOURCES: dict[type, str] = {
    TabNetEncoder: "TabNet mask",
    GeneGateEncoder: "gene gate",
    GatedAttentionEncoder: "patch attention",
}


def said(encoder: nn.Module, items: Items) -> Tensor:
    """Shares, of shape ``(items, columns)``, or of a bag's patches ``(items, heads)``."""
    if isinstance(encoder, GatedAttentionEncoder):
        return encoder.attention(items)
    assert isinstance(encoder, TabNetEncoder | GeneGateEncoder)
    weights = encoder.attention(items) if isinstance(encoder, TabNetEncoder) else encoder.importance(items)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-12)


def by_fusion(probe: Probe, ids: Names) -> Iterator[pd.DataFrame]:
    """Where the fusion looked, token by token; mean over what asked."""
    if not all(isinstance(network.fusion, Attending) for network in probe.networks):
        return
    found: dict[str, list[Tensor]] = {}
    for network, tokens in zip(probe.networks, probe.fixed, strict=True):
        network.fusion(tokens)
        assert isinstance(network.fusion, Attending)
        for name, weights in network.fusion.attention.items():
            found.setdefault(name, []).append(weights.mean(dim=1))
    for name, members in found.items():
        parts = token_names(probe.networks[0].encoders[name], probe.items(name), probe.fixed[0][name])
        mask = probe.fixed[0][name].mask
        owner, place = (index.numpy() for index in mask.nonzero(as_tuple=True))
        mean = torch.stack(members).mean(dim=0)[mask]
        yield rows(ids[owner], name, "fusion attention", [parts[p] for p in place], mean)


def token_names(encoder: nn.Module, items: Items, tokens: Tokens) -> Sequence[str]:
    """What the tokens of a patient are called: a pathway, an item, or an item and a cell of it."""
    most, count = int(items.counts.max()) if len(items) else 1, tokens.mask.shape[1]
    each = max(count // max(most, 1), 1)
    if isinstance(encoder, PathwaysEncoder) and each == len(encoder.names):
        inner: Sequence[str] = encoder.names
    elif each > 1:
        inner = [f"token {n + 1}" for n in range(each)]
    else:
        inner = [""]
    several = most > 1 and each <= count
    outer = [f"item {n + 1}" for n in range(-(-count // each))]
    return [" ".join(part for part in (o if several or not i else "", i) if part) for o in outer for i in inner][:count]


def rows(owner: Names, modality: str, source: str, parts: Sequence[str], weights: Tensor) -> pd.DataFrame:
    """One row per patient and part."""
    values = (owner, modality, source, list(parts), weights.double().numpy())
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
