"""Saving a stack: JSON and safetensors, a folder for each network, nothing that could run code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, TypeAdapter

from fusiondx import choices
from fusiondx.classical.linear import Linear
from fusiondx.classical.model import ClassicalModel
from fusiondx.classical.trees import Forest, Trees
from fusiondx.classical.view import View
from fusiondx.core.components import Head, RawImages
from fusiondx.core.settings import parse
from fusiondx.core.spec import Spec, spec
from fusiondx.core.targets import TargetValues
from fusiondx.data.preprocess import TablePreparation
from fusiondx.encoders import AnyEncoder
from fusiondx.errors import ConfigError, RunError
from fusiondx.extraction import drawn
from fusiondx.model import FusionModel
from fusiondx.plain import plain_head
from fusiondx.saving import Question, fill, staged
from fusiondx.stacking.blend import Blend
from fusiondx.stacking.describing import Description
from fusiondx.stacking.member import Member, Recipe
from fusiondx.training import Training

FORMAT = 3
"""Version of the folder's layout."""
DESCRIPTION, ARRAYS = "stack.json", "arrays.safetensors"

Arrays = dict[str, np.ndarray[Any, Any]]


@spec
class SavedDescription(Spec):
    """How a modality is described."""

    name: str
    modality: str
    encoder: AnyEncoder | None = None
    images: RawImages | None = None
    cropped: bool = False


@spec
class SavedMember(Spec):
    """A member without its arrays or networks."""

    name: str
    reads: tuple[str, ...]
    joint: bool
    fits: Annotated[int, Field(ge=1)]
    learner: Literal["ridge", "trees", "network"]
    views: dict[str, TablePreparation] = Field(default_factory=dict)
    answers: tuple[str, ...] = ()
    """Of regressions and trees: the targets they answer."""
    forests: dict[str, tuple[int, bool]] = Field(default_factory=dict)
    """Of trees, by target: how many, and whether the one is of the second of two classes."""


@spec
class SavedBlend(Spec):
    """The weights of a pattern."""

    pattern: tuple[str, ...]
    weights: dict[str, Annotated[float, Field(ge=0)]]
    bias: tuple[float, ...]


@spec
class SavedStack(Spec):
    """All of a fitted stack but arrays and networks."""

    effort: Literal["fast", "thorough"]
    training: Training | None
    seed: NonNegativeInt
    targets: dict[str, Question]
    landmark: float | None
    descriptions: tuple[SavedDescription, ...]
    members: tuple[SavedMember, ...]
    blends: dict[str, tuple[SavedBlend, ...]]
    nothing: dict[str, tuple[float, ...]]


def write(stack: Any, folder: Path, overwrite: bool) -> None:
    """Write a fitted `Stack`. Raises `RunError` as `fusiondx.saving.staged`, `ConfigError` for members of your own."""
    from safetensors.numpy import save_file

    with staged(folder, overwrite) as stage:
        arrays: Arrays = {}
        members = [save_member(n, member, stage, arrays) for n, member in enumerate(stack.members_.values())]
        for n, head in enumerate(stack.heads_.values()):
            arrays |= under(f"heads/{n}", of_head(head))
        for n, d in enumerate(stack.descriptions_):
            arrays |= under(f"extractors/{n}", of_head(d.extractor)) if d.extractor is not None else {}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, stage / ARRAYS)
        saved = SavedStack(
            effort=stack.effort,
            training=stack.training,
            seed=stack.seed,
            targets={name: Question(t.spec, t.classes) for name, t in stack.targets_.items()},
            landmark=stack.landmark_,
            descriptions=tuple(
                SavedDescription(d.name, d.modality, d.encoder, d.extractor.images if d.extractor else None, d.cropped)
                for d in stack.descriptions_
            ),
            members=tuple(members),
            blends={
                target: tuple(SavedBlend(p, dict(b.weights), tuple(b.bias.tolist())) for p, b in blends.items())
                for target, blends in stack.blends_.items()
            },
            nothing={target: tuple(answer.tolist()) for target, answer in stack.nothing_.items()},
        )
        said = {
            "format": FORMAT,
            "fusiondx": version("fusiondx"),
            **TypeAdapter(SavedStack).dump_python(saved, mode="json"),
        }
        (stage / DESCRIPTION).write_text(json.dumps(said, indent=1, allow_nan=False), encoding="utf-8")


def save_member(number: int, member: Member, stage: Path, arrays: Arrays) -> SavedMember:
    """Put a member's arrays among `arrays`, and its networks into folders."""
    recipe, first = member.recipe, member.fits[0]
    common: dict[str, Any] = {
        "name": recipe.name,
        "reads": recipe.reads,
        "joint": recipe.joint,
        "fits": len(member.fits),
    }
    if isinstance(first, ClassicalModel):
        arrays |= under(f"members/{number}", of_classical(first))
        views = {view.name: view.preparation for view in first.views_}
        forests = {t: (len(a.forests), a.paired) for t, a in first.answers_.items() if isinstance(a, Trees)}
        return SavedMember(**common, learner=first.learner, views=views, answers=tuple(first.answers_), forests=forests)
    for n, fit in enumerate(member.fits):
        if not isinstance(fit, FusionModel):
            raise ConfigError(
                f"models.{recipe.name}: a stack can be saved with FusionModels only, and this is a "
                f"{type(fit).__name__}. Keep the stack in memory."
            )
        fit.save(stage / f"network-{number}-{n}")
    return SavedMember(**common, learner="network")


def of_classical(model: ClassicalModel) -> Arrays:
    """The arrays of a regression or forest; targets and views by number, for their names may hold anything."""
    found: Arrays = {"scales": np.asarray(model.scales_)}
    for n, view in enumerate(model.views_):
        found[f"views/{n}"] = view.directions
    for n, (target, answer) in enumerate(model.answers_.items()):
        parts: tuple[Linear | Forest, ...] = (answer,) if isinstance(answer, Linear) else answer.forests
        for k, part in enumerate(parts):
            found |= under(f"answers/{n}/{k}", {f.name: np.asarray(getattr(part, f.name)) for f in fields(part)})
        found |= under(f"heads/{n}", of_head(model.heads_[target]))
    return found


def of_head(module: torch.nn.Module) -> Arrays:
    """A module's weights as arrays."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def under(place: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    return {f"{place}/{name}": array for name, array in arrays.items()}


def within(place: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    return {name.removeprefix(f"{place}/"): array for name, array in arrays.items() if name.startswith(f"{place}/")}


def read(folder: Path) -> tuple[SavedStack, Arrays]:
    """Description and arrays. Raises `RunError` where the folder does not hold a whole saved stack of this format,
    `ConfigError` where what it says is not what `write` writes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        said = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        arrays = load_file(folder / ARRAYS)
    except (OSError, ValueError, SafetensorError) as error:
        raise RunError(
            f"{folder} does not hold a whole saved stack ({type(error).__name__}). Save it again."
        ) from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise RunError(f"{folder} was not saved in format {FORMAT}, the one that fusiondx {version('fusiondx')} reads.")
    described = {name: value for name, value in said.items() if name not in ("format", "fusiondx")}
    return parse(SavedStack, described, str(folder / DESCRIPTION)), arrays


def descriptions(saved: SavedStack, arrays: Arrays, folder: Path) -> Iterator[Description]:
    """How modalities are described, with what looks at images."""
    for n, d in enumerate(saved.descriptions):
        if d.encoder is None or d.images is None:
            yield Description(d.name, d.modality)
            continue
        bare = choices.without_downloads({d.name: d.encoder})[d.name]
        extractor = drawn(bare, d.images)
        if extractor is None:
            raise RunError(f"{folder}: '{d.name}' names an encoder that looks at no images.")
        filled(extractor, within(f"extractors/{n}", arrays), folder)
        yield Description(d.name, d.modality, d.encoder, extractor, d.cropped)


def members(saved: SavedStack, arrays: Arrays, targets: Mapping[str, TargetValues], folder: Path) -> Iterator[Member]:
    """The members, fitted."""
    for number, m in enumerate(saved.members):
        if m.learner == "network":
            fits: tuple[Any, ...] = tuple(FusionModel.load(folder / f"network-{number}-{n}") for n in range(m.fits))
        else:
            fits = (classical(m, within(f"members/{number}", arrays), targets, folder),)
        yield Member(Recipe(m.name, fits[0], m.reads, m.joint), fits)


def classical(m: SavedMember, arrays: Arrays, targets: Mapping[str, TargetValues], folder: Path) -> ClassicalModel:
    """A regression or forest from its arrays."""
    assert m.learner != "network"
    model = ClassicalModel(tuple(m.views), m.learner)
    try:
        model.views_ = tuple(View(v, p, arrays[f"views/{n}"]) for n, (v, p) in enumerate(m.views.items()))
        model.scales_ = tuple(arrays["scales"].tolist())
        model.answers_ = {t: answer(m, t, within(f"answers/{n}", arrays)) for n, t in enumerate(m.answers)}
        asked = {t: targets[t] for t in m.answers}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder}: the arrays of '{m.name}' do not belong to the stack described beside them."
        ) from error
    model.heads_ = heads(asked, arrays, folder)
    return model


def answer(m: SavedMember, target: str, arrays: Arrays) -> Linear | Trees:
    """What answers one target."""
    if m.learner == "ridge":
        part = within("0", arrays)
        return Linear(part["weights"], part["bias"], part["shares"])
    count, paired = m.forests[target]
    return Trees(tuple(forest(within(str(n), arrays)) for n in range(count)), paired)


def forest(arrays: Arrays) -> Forest:
    """One forest."""
    single: dict[str, Any] = {name: arrays[name].item() for name in ("start", "depth")}
    return Forest(**{**arrays, **single})


def heads(targets: Mapping[str, TargetValues], arrays: Arrays, folder: Path) -> dict[str, Head]:
    """The heads of these targets, as they were fitted."""
    made = {name: plain_head(target) for name, target in targets.items()}
    for n, head in enumerate(made.values()):
        filled(head, within(f"heads/{n}", arrays), folder)
    return made


def filled(module: torch.nn.Module, arrays: Arrays, folder: Path) -> None:
    """Put arrays into a module. Raises `RunError` where they do not belong to it."""
    fill(lambda: module, {name: torch.from_numpy(array) for name, array in arrays.items()}, folder)


def blends(saved: SavedStack) -> dict[str, dict[tuple[str, ...], Blend]]:
    """Weights by target and pattern."""
    return {
        target: {b.pattern: Blend(b.weights, np.asarray(b.bias)) for b in found}
        for target, found in saved.blends.items()
    }
