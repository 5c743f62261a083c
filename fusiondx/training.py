"""Training: the only file that knows Lightning."""

from __future__ import annotations

import logging
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, TQDMProgressBar
from pydantic import Field
from torch import Tensor

from fusiondx.core.batch import Batch, Truth
from fusiondx.core.spec import Spec, spec
from fusiondx.data.augmentation import Augmentation
from fusiondx.data.batches import Batches
from fusiondx.errors import RunError
from fusiondx.network import Network


@spec
class Training(Spec):
    """How a network is trained: AdamW, cosine decay, early stopping on a part of the training patients.

    >>> training = fdx.Training(epochs=2, patience=1, members=2)
    >>> model = fdx.FusionModel(training=training).fit(train)
    >>> len(model.networks_)
    2
    """

    epochs: int = Field(default=60, ge=1)
    batch_size: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=1e-2, ge=0, allow_inf_nan=False)
    patience: int = Field(default=15, ge=1)
    """Epochs without improvement on the validation part before training stops."""
    validation: float = Field(default=0.2, ge=0, le=0.5)
    """Share of the training patients held out for early stopping; 0 trains for all epochs, and so does a part
    that cannot tell when to stop, such as one without events."""
    members: int = Field(default=1, ge=1)
    """Networks trained on different validation parts and averaged: steadier, and as many times dearer."""
    modality_dropout: float = Field(default=0.1, ge=0, lt=1)
    """Chance that a modality of a patient is hidden in a training step, so that the model learns to do without."""
    augment: bool = True
    """Change training images at random. Images that are looked at once, by an encoder that does not train, stay."""
    augmentation: dict[str, Augmentation] = Field(default_factory=dict)
    """How, by modality; left out: the default of its kind."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of what image encoders compute while they train. bfloat16 is for graphics cards and processors that have it."""
    progress: bool | None = None
    """Show a progress bar; left out: on a terminal only."""


class Task(lightning.LightningModule):
    """A network with its losses and optimiser, as Lightning wants them."""

    def __init__(self, network: Network, training: Training, steps: int) -> None:
        super().__init__()
        self.network = network
        self.training_settings = training
        self.steps = steps
        self.history: list[dict[str, float]] = []
        self.summed, self.seen = 0.0, 0
        self.held_out: list[tuple[dict[str, Tensor], Mapping[str, Truth]]] = []
        self.penalties = torch.zeros(())

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = torch.stack(list(self.network.losses(batch).values())).sum() + self.network.penalty()
        value = loss.item()
        refuse_infinite(value, f"training loss became {value} in epoch {self.current_epoch}")
        self.summed, self.seen = self.summed + value * len(batch), self.seen + len(batch)
        return loss

    def on_train_epoch_end(self) -> None:
        row = {"epoch": float(self.current_epoch), "train_loss": self.summed / max(self.seen, 1)}
        if "validation_loss" in self.trainer.callback_metrics:
            row["validation_loss"] = float(self.trainer.callback_metrics["validation_loss"])
        self.history.append(row)
        self.summed, self.seen = 0.0, 0

    def validation_step(self, batch: Batch, index: int) -> None:
        self.held_out.append((self.network(batch), batch.targets))  # not the inputs: memory holds one batch of those
        self.penalties += self.network.penalty() * len(batch)

    def on_validation_epoch_end(self) -> None:
        # over all patients at once: a risk set must not end at a batch border
        loss = self.penalties.cpu() / max(sum(len(next(iter(t.values())).known) for _, t in self.held_out), 1)
        for name, head in self.network.named_heads():
            answers = torch.cat([answers[name] for answers, _ in self.held_out])
            loss = loss + head.loss(answers, joined([truths[name] for _, truths in self.held_out])).cpu()
        self.held_out.clear()
        self.penalties = torch.zeros(())
        refuse_infinite(loss.item(), f"validation loss became {loss.item()} in epoch {self.current_epoch}")
        self.log("validation_loss", loss)

    def configure_optimizers(self) -> Any:
        settings = self.training_settings
        groups = [{"params": p, "lr": settings.learning_rate * pace} for pace, p in self.network.paces().items()]
        # fused: the same steps at a fraction of the cost, on processors too
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=self.steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": decay, "interval": "step"}}


class KeepBest(Callback):
    """Remember the weights of the epoch with the lowest validation loss, and put them back at the end."""

    def __init__(self) -> None:
        self.best = math.inf
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        loss = float(trainer.callback_metrics["validation_loss"])
        if loss < self.best:
            self.best = loss
            self.weights = {name: value.clone() for name, value in pl_module.state_dict().items()}

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.weights:
            pl_module.load_state_dict(self.weights)


def train(network: Network, training: Training, batches: Batches, held_out: Batches | None) -> pd.DataFrame:
    """Train `network` in place; returns the history, one row per epoch.

    Raises `RunError` when the loss stops being finite.
    """
    task = Task(network, training, steps=training.epochs * len(batches))
    progress = sys.stderr.isatty() if training.progress is None else training.progress
    callbacks: list[Callback] = [TQDMProgressBar(leave=False)] if progress else []
    if held_out is not None:
        callbacks += [KeepBest(), EarlyStopping("validation_loss", patience=training.patience, mode="min")]
    with quiet_lightning():
        trainer = lightning.Trainer(
            max_epochs=training.epochs,
            callbacks=callbacks,
            gradient_clip_val=1.0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=progress,
            num_sanity_val_steps=0,
            accelerator="cuda" if torch.cuda.is_available() else "cpu",  # Apple's has no float64, which losses need
            devices=1,
        )
        trainer.fit(task, batches, held_out)
    network.cpu().eval()
    size = sum(float(p.detach().abs().mean()) for p in network.parameters() if p.numel())
    refuse_infinite(size, f"size of the weights became {size}")
    return pd.DataFrame(task.history)


def refuse_infinite(value: float, what: str) -> None:
    """Raise `RunError` unless `value` is a finite number."""
    if not math.isfinite(value):
        raise RunError(f"The {what}. Lower training.learning_rate, or look for extreme values with `fusiondx check`.")


def joined(truths: list[Truth]) -> Truth:
    """The truths of several batches as one."""
    fields = {name: torch.cat([t.fields[name] for t in truths]) for name in truths[0].fields}
    return Truth(fields, torch.cat([t.known for t in truths]))


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's advice about devices, loaders and its own products out of our users' terminals."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
