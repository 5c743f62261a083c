"""FusionModel: fit, predict, save and load, in scikit-learn's manner."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from fusiondx import choices, early_stopping, saving
from fusiondx.admission import (
    check_cohort,
    check_learnable,
    check_readable,
    check_reads,
    check_together,
    last_time,
    prepare,
    reading,
    refuse_unknown,
)
from fusiondx.answering import Answering, no_values
from fusiondx.benefit import Benefit, benefits
from fusiondx.clock import Clock
from fusiondx.core.components import (
    EncoderSpec,
    FusionSpec,
    HeadSpec,
    RawImages,
    Segmenting,
    Settled,
    Shape,
)
from fusiondx.core.joining import read_by, shape_beside
from fusiondx.core.predictions import Prediction
from fusiondx.core.spec import MOST_SEED
from fusiondx.core.targets import Cause, Masks, TargetValues
from fusiondx.data.augmentation import Augmentation, augmentations
from fusiondx.data.batches import Batches, Prepared, shape_of
from fusiondx.data.cohort import Cohort
from fusiondx.encoders import AnyEncoder
from fusiondx.encoders import default as default_encoder
from fusiondx.errors import ConfigError, DataError, FusionDxError
from fusiondx.extraction import drawn, extracted, extractors
from fusiondx.fusion import AnyFusion
from fusiondx.heads import AnyHead
from fusiondx.heads import default as default_head
from fusiondx.network import Network
from fusiondx.plain import said_by
from fusiondx.segmentation import Segmentation
from fusiondx.training import Training, train

if TYPE_CHECKING:
    from fusiondx.explain.explanation import Explanation
    from fusiondx.explain.heat import Method
    from fusiondx.explain.question import Scale
    from fusiondx.stacking.stack import Stack

PREDICT_SIZE = 64
"""Patients per batch when predicting."""

Ints = npt.NDArray[np.int64]
Specs = tuple[dict[str, EncoderSpec], FusionSpec, dict[str, HeadSpec]]


class FusionModel(Answering):
    """One model over all modalities of a cohort, for all its targets.

    Parameters
    ----------
    encoders:
        Spec or its name by modality name. Modalities left out get the default of their kind. ``"clinical+omics"``
        names several tables for one encoder that reads them side by side: early fusion at the input.
    fusion:
        Spec or its name. Early, where the decision sees all modalities: ``concat``, ``gated``, ``kronecker``,
        ``low_rank``, ``attention``, ``coattention``, ``bottleneck``, ``experts``. Late, where each modality decides and
        decisions are combined: ``mean``, ``weighted``, ``product``.
    heads:
        Spec or its name by target name. Targets left out get the default of their kind.
    dim:
        Width of tokens and opinions.
    training:
        `Training` settings; left out, the defaults.
    seed:
        Same seed, same cohort, same machine: same numbers.

    After `fit`: `networks_` (one per member), `extractors_` (of images read as features), `preparations_`, `targets_`,
    `history_` (one row per member and epoch), `cohort_` (the training patients), `landmark_` (the time after which
    nothing may have been observed, None where it does not matter).

    To scikit-learn it is neither classifier nor regressor, since it may be both. So ``cv=5`` takes patients in the
    order of their table; ``cv=cohort.folds(5)`` takes folds alike in outcome, of whole sites where there are enough.
    Leave `scoring` out: `score` knows of gaps and of the order of classes, scikit-learn's scorers do not.

    Examples
    --------
    >>> model = fdx.FusionModel({"image": "smallcnn"}, "gated", dim=16, training=fdx.Training(epochs=1)).fit(train)
    >>> model.predict_proba(test).shape, model.predict_risk(test).shape
    ((23, 2), (23,))
    >>> saved = model.save("saved")
    >>> bool((fdx.FusionModel.load(saved).predict_risk(test) == model.predict_risk(test)).all())
    True
    """

    left_out: ClassVar[Mapping[str, Any]] = {"encoders": {}, "heads": {}, "training": Training()}

    def __init__(
        self,
        encoders: Mapping[str, Any] | None = None,
        fusion: Any = "gated",
        heads: Mapping[str, Any] | None = None,
        dim: int = 64,
        training: Training | None = None,
        seed: int = 0,
    ) -> None:
        self.encoders = encoders
        self.fusion = fusion
        self.heads = heads
        self.dim = dim
        self.training = training
        self.seed = seed

    @staticmethod
    def best(effort: Literal["fast", "thorough"] = "fast", seed: int = 0) -> Stack:
        """The model to ask for when the best answer is wanted: classical models and networks, each weighed by what it
        adds. It has this class's interface; see `Stack` for what it does and docs/stacking.md for what it costs."""
        from fusiondx.stacking.stack import Stack  # stands above this module, which knows it in this one place

        return Stack(effort, seed=seed)

    # -- fitting ------------------------------------------------------------------------------------------------

    def fit(self, cohort: Cohort, y: Any = None) -> Self:
        """Train on all patients of `cohort`.

        `y`, when given, replaces the values of the first target: that is how scikit-learn hands labels over.
        Raises `DataError` for a cohort that cannot be learnt from and `ConfigError` for settings that do not fit it.
        """
        check_settings(self.seed, self.training, self.dim)
        check_cohort(cohort)
        if y is not None:
            cohort = cohort.with_target(next(iter(cohort.targets)), y)
        check_learnable(cohort)
        training = self.training or Training()
        self.kinds_ = {name: modality.spec.kind for name, modality in cohort.modalities.items()}
        self.targets_ = {name: no_values(values.spec, values.classes) for name, values in cohort.targets.items()}
        encoders, fusion, heads = self._specs()
        check_together(encoders, cohort)
        refuse_unanswerable(heads, cohort, self.dim)
        found = extractors(cohort, {name: spec for name, spec in encoders.items() if name in self.kinds_})
        trained = {name: kind for name, kind in self.kinds_.items() if name not in found}
        # before images are looked at, which may take hours: settings may be refused
        parts = early_stopping.parts(cohort, training, self.seed)
        changes = augmentations(training.augmentation, trained) if training.augment else {}
        seen = extracted(cohort, found)
        self.preparations_ = prepare(seen)
        self.kinds_ = {name: self.kinds_[name] for name in self.preparations_}
        self.extractors_ = {name: extractor for name, extractor in found.items() if name in self.preparations_}
        self.specs_ = used(encoders, cohort.modalities, self.preparations_), fusion, heads
        prepared = Prepared(seen, self.preparations_)
        self.settings_: dict[str, Any] = {"dim": self.dim, "training": training, "seed": self.seed}
        self.landmark_ = last_time(cohort)
        self.networks_, histories = [], []
        for member, (inside, outside) in enumerate(parts):
            network, history = self._train(cohort, prepared, inside, outside, member, changes)
            self.networks_.append(network)
            histories.append(history.assign(member=member))
        self.history_ = pd.concat(histories, ignore_index=True)
        self.cohort_ = cohort
        self._settle(cohort, prepared)
        return self

    def _settle(self, cohort: Cohort, prepared: Prepared) -> None:
        """Let heads that need it see the answers to all training patients; the rest are spared the pass."""
        waiting = [(n, h) for network in self.networks_ for n, h in network.named_heads() if isinstance(h, Settled)]
        if waiting:
            answers = self._answers(Batches(prepared, np.arange(len(cohort)), PREDICT_SIZE))
            for name, head in waiting:
                head.settle(answers[name], cohort.targets[name])

    def _train(
        self,
        cohort: Cohort,
        prepared: Prepared,
        inside: Ints,
        outside: Ints | None,
        member: int,
        changes: Mapping[str, Augmentation],
    ) -> tuple[Network, pd.DataFrame]:
        """One member: its own seed, and where there is one its own validation part."""
        training = self.training or Training()
        seed = int(np.random.SeedSequence((self.seed, member)).generate_state(1)[0])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = self._build(*self.specs_, cohort.targets)
            network.prime(prepared.items)
            batches = Batches(prepared, inside, training.batch_size, seed=seed, augmentations=changes)
            held_out = None if outside is None else Batches(prepared, outside, PREDICT_SIZE)
            return network, train(network, training, batches, held_out)

    def _specs(self) -> tuple[dict[str, EncoderSpec], FusionSpec, dict[str, HeadSpec]]:
        """The specs in force: defaults filled in, and checked against the modalities and targets at hand."""
        given, asked = self.encoders or {}, self.heads or {}
        refuse_unknown("heads", asked, "target", list(self.targets_))
        encoders = {
            name: choices.encoder(given.get(name, default_encoder(self.kinds_[read[0]])), f"encoders.{name}")
            for name, read in reading("encoders", given, list(self.kinds_)).items()
        }
        for name, spec in encoders.items():
            check_reads("encoders", name, spec, self.kinds_)
        heads = {
            name: choices.head(asked.get(name, default_head(target)), f"heads.{name}")
            for name, target in self.targets_.items()
        }
        for name, answer in heads.items():
            asked_for = self.targets_[name].spec.kind
            if answer.answers != asked_for:
                raise ConfigError(
                    f"heads.{name}: {answer} answers '{answer.answers}', but '{name}' is of kind '{asked_for}'."
                )
        return encoders, choices.fusion(self.fusion), heads

    def _build(
        self,
        encoders: Mapping[str, EncoderSpec],
        fusion: FusionSpec,
        heads: Mapping[str, HeadSpec],
        targets: Mapping[str, TargetValues],
    ) -> Network:
        training = self.training or Training()
        reads = {name: read_by(name, self.preparations_) for name in encoders}
        return Network(
            {name: spec.build(self._shape(reads[name]), self.dim) for name, spec in encoders.items()},
            fusion.build(tuple(encoders), self.dim),
            {name: spec.build(targets[name], self.dim) for name, spec in heads.items()},
            training.modality_dropout,
            autocast=training.precision == "bfloat16",
            clocks={n: Clock(self.dim) for n, p in self.preparations_.items() if getattr(p, "clock", None) is not None},
            reads=reads,
        )

    def _shape(self, names: tuple[str, ...]) -> Shape:
        """What an encoder of these modalities reads."""
        shapes = {name: shape_of(self.preparations_[name]) for name in names}
        return shape_beside(shapes) if len(names) > 1 else shapes[names[0]]

    # -- predicting ---------------------------------------------------------------------------------------------

    def predict(self, cohort: Cohort) -> dict[str, Prediction]:
        """Predictions by target name, for every patient, whatever modalities they lack.

        Raises `NotFittedError` before `fit`, `DataError` when a table lacks columns the model was trained on or the
        patient table lacks the column of strata.
        """
        answers = self._answers(self._batches(cohort))
        return {name: said_by(head, answers[name], cohort) for name, head in self.networks_[0].named_heads()}

    def predict_benefit(self, cohort: Cohort) -> dict[str, Benefit]:
        """Outcomes predicted for each patient under each treatment that training saw, by target name.

        The cohort declares its treatment, a categorical input of one of its tables; patients without that table are
        left out. Everything else about a patient stays as it is, so a difference is what the model makes of the
        treatment alone (an S-learner, Künzel et al. 2019). Where treatment was not randomised that need not be an
        effect: a `FusionDxWarning` says so, and the result carries the same words. Raises `ConfigError` where no
        treatment is declared or the model was trained without it, `DataError` where no patient has that table, else as
        `predict`.
        """
        return benefits(cohort, self._fitted().preparations_, self.predict)

    def embed(self, cohort: Cohort) -> npt.NDArray[np.floating[Any]]:
        """One vector per patient: the mean opinion; members side by side. Shape ``(patients, members * dim)``."""
        batches = self._batches(cohort)
        with torch.inference_mode():
            parts = [
                torch.cat([network.opinions(batch).mean() for batch in batches]).numpy() for network in self.networks_
            ]
        return np.concatenate(parts, axis=1)

    @property
    def segments_(self) -> tuple[str, ...]:
        """The modalities whose tumours it draws."""
        encoders = self._fitted().networks_[0].encoders.items()
        return tuple(name for name, encoder in encoders if isinstance(encoder, Segmenting) and encoder.segments)

    def segment(self, cohort: Cohort) -> dict[str, Segmentation]:
        """Where it sees the tumour, by modality whose masks it learnt; true masks beside it where the cohort has them.

        Raises `ConfigError` where it learnt none, else as `predict`.
        """
        if not self.segments_:
            raise ConfigError(
                "The model draws no tumours. Read a modality with mask_use 'segment', and give it the encoder "
                "'unet' or 'fcn'."
            )
        batches = self._batches(cohort)
        with torch.inference_mode():
            return {name: drawn_by(self.networks_, name, batches, cohort.ids) for name in self.segments_}

    def explain(
        self,
        cohort: Cohort,
        target: str | None = None,
        *,
        label: str | None = None,
        horizon: float | None = None,
        scale: Scale = "probability",
        method: Method = "integrated",
        reference: Cohort | None = None,
    ) -> Explanation:
        """What drove the prediction of one number for each patient: by modality, column, gene set and place.

        The number is the probability of `label` (a class, finding or cause; left out, each patient's most probable
        one), for a prognosis that of an event by `horizon` (in the target's unit; left out, the middle of the curves'
        times), or a quantity. `scale` "link" explains log odds, or for a prognosis the log cumulative hazard, instead.
        `method` draws the heat maps: "integrated" gradients of the pixels, or class activation maps of the feature
        maps, "hirescam" or "gradcam"; frozen networks have the latter only, vision transformers their attention.
        `reference` are the patients whose average columns are compared with, and among whom neighbours are looked for;
        left out, the training patients, which a loaded model does not remember.

        Raises `ConfigError` for a target, label, horizon, scale or method that cannot be, else as `predict`.
        """
        from fusiondx.explain.explaining import explain  # late: it imports what draws

        given = (target, label, horizon, scale, method, reference)
        return explain(self._fitted(), cohort, self._batches, *given)

    @property
    def parameters_(self) -> int:
        """Trainable parameters, all members together."""
        return sum(p.numel() for network in self._fitted().networks_ for p in network.parameters() if p.requires_grad)

    def _fitted(self) -> Self:
        if not hasattr(self, "networks_"):
            raise NotFittedError("This FusionModel is not fitted yet. Call fit(cohort) first, or FusionModel.load.")
        return self

    def _batches(self, cohort: Cohort) -> Batches:
        self._fitted()
        check_cohort(cohort)
        seen = extracted(cohort, self.extractors_)
        check_readable(seen, self.preparations_, self.landmark_)
        prepared = Prepared(seen.select(targets=[]), self.preparations_)
        return Batches(prepared, np.arange(len(cohort)), PREDICT_SIZE)

    def _answers(self, batches: Batches) -> dict[str, npt.NDArray[Any]]:
        """Raw answers by target, averaged over members."""
        with torch.inference_mode():
            passes = [[network.eval()(batch) for network in self.networks_] for batch in batches]
        return {
            name: torch.cat([torch.stack([a[name] for a in members]).mean(dim=0) for members in passes]).numpy()
            for name in self.targets_
        }

    # -- saving -------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write ``weights.safetensors`` and ``model.json`` into `folder`, all or nothing.

        Raises `RunError` if the folder exists (unless `overwrite`) and `ConfigError` for components of your own, which
        a reader of JSON could not build.
        """
        encoders, fusion, heads = self._fitted().specs_
        for name, encoder in encoders.items():
            choices.refuse_own(encoder, AnyEncoder, f"encoders.{name}")
        for name, head in heads.items():
            choices.refuse_own(head, AnyHead, f"heads.{name}")
        choices.refuse_own(fusion, AnyFusion, "fusion")
        # of our own unions, as was just checked
        components: dict[str, Any] = {"encoders": encoders, "fusion": fusion, "heads": heads}
        description = saving.Description(
            **components,
            kinds=self.kinds_,
            preparations=self.preparations_,
            targets={
                name: saving.Question(t.spec, t.classes)
                for name, t in self.targets_.items()
                if not isinstance(t.spec, Masks | Cause)  # which nobody asks for
            },
            history=clean_history(self.history_),
            landmark=self.landmark_,
            extracted={name: extractor.images for name, extractor in self.extractors_.items()},
            **self.settings_,
        )
        saving.write(Path(folder), description, self._modules().state_dict(), overwrite)
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """A model saved by `save`. Nothing in the folder can run code.

        Raises `RunError` where the folder is not whole and `ConfigError` where its description is not valid.
        """
        saved, weights = saving.read(Path(folder))
        settings: dict[str, Any] = {"dim": saved.dim, "training": saved.training, "seed": saved.seed}
        model = cls(encoders=saved.encoders, fusion=saved.fusion, heads=saved.heads, **settings)
        model.settings_, model.kinds_, model.landmark_ = settings, saved.kinds, saved.landmark
        model.preparations_ = saved.preparations
        model.targets_ = {name: no_values(asked.spec, asked.classes) for name, asked in saved.targets.items()}
        model.history_ = pd.DataFrame(saved.history, dtype=float)
        model.specs_ = model._specs()
        saving.fill(lambda: model._blank(saved.extracted, saved.training.members), weights, Path(folder))
        return model

    def _modules(self) -> nn.Module:
        """All that has weights: the members, and extractors once."""
        return nn.ModuleDict({"members": nn.ModuleList(self.networks_), "extractors": nn.ModuleDict(self.extractors_)})

    def _blank(self, extracted: Mapping[str, RawImages], members: int) -> nn.Module:
        """Extractors and networks for weights to be put in."""
        encoders, fusion, heads = self.specs_
        bare = choices.without_downloads(encoders)
        made = {name: drawn(bare[name], images) for name, images in extracted.items()}
        self.extractors_ = {name: extractor for name, extractor in made.items() if extractor is not None}
        self.networks_ = [self._build(bare, fusion, heads, self.targets_).eval() for _ in range(members)]
        return self._modules()


def drawn_by(networks: Sequence[Network], name: str, batches: Batches, ids: npt.NDArray[Any]) -> Segmentation:
    """The tumours that networks, on average, see in one modality; in evaluation mode, without gradients."""
    patient, probability, truth, masked, seen = [], [], [], [], 0
    for batch in batches:
        items = batch.inputs[name]
        encoders = [network.eval().encoders[name] for network in networks]
        found = [torch.sigmoid(e.segment(items)) for e in encoders if isinstance(e, Segmenting)] if len(items) else []
        if found:
            patient.append(items.patient.numpy() + seen)
            probability.append(torch.stack(found).mean(dim=0)[:, 0].half().numpy())
            known = items.fields.get("masked", torch.zeros(len(items), dtype=torch.bool)).numpy()
            mask = items.fields["mask"][:, 0].numpy() > 0.5 if known.any() else np.zeros_like(probability[-1], bool)
            truth.append(mask)
            masked.append(known)
        seen += len(batch)
    if not patient:
        raise DataError(f"No patient has '{name}': there is nothing to draw in.")
    return Segmentation(name, ids, *(np.concatenate(part) for part in (patient, probability, truth, masked)))


def check_settings(seed: object, training: object, dim: object = 1) -> None:
    """Refuse settings of the wrong type or out of range; a constructor must not, so `fit` does."""
    for name, value, least, most in (("dim", dim, 1, None), ("seed", seed, 0, MOST_SEED)):
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not least <= cast("int", value) <= (most or np.inf):
            span = f"from {least} to {most}" if most else f"of {least} or more"
            raise ConfigError(f"{name}: {value!r}. Give a whole number {span}.")
    if training is not None and not isinstance(training, Training):
        raise ConfigError(f"training: got {type(training).__name__}. Give settings, such as Training(epochs=30).")


def refuse_unanswerable(heads: Mapping[str, HeadSpec], cohort: Cohort, dim: int) -> None:
    """Build every head once, so that one that cannot answer its target says so before images are looked at."""
    with torch.random.fork_rng(devices=[]):
        for name, spec in heads.items():
            try:
                spec.build(cohort.targets[name], dim)
            except FusionDxError as error:
                raise type(error)(f"heads.{name}: {error}") from error


def used(
    encoders: Mapping[str, EncoderSpec], modalities: Collection[str], prepared: Collection[str]
) -> dict[str, EncoderSpec]:
    """The encoders of modalities that are in use; a joint name loses those that are not."""
    kept = {
        "+".join(part for part in read_by(name, modalities) if part in prepared): spec
        for name, spec in encoders.items()
    }
    return {name: spec for name, spec in kept.items() if name}


def clean_history(history: pd.DataFrame) -> dict[str, list[float | None]]:
    """The history as JSON can hold it: a gap is null."""
    return {str(name): [None if np.isnan(v) else float(v) for v in column] for name, column in history.items()}
