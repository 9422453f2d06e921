"""Optimizers and the learning rate over time, as the papers set them.

A schedule gives the factor on the learning rate for each step. ``ReloadAndDivide`` depends on the
training loss, so it is followed by a callback, and its factor stays 1. From D-LinkNet's published
code: go back to the best weights, with a smaller rate.

RULE 1: an epoch is better when its mean training loss is below the best so far; then its weights
become the best.
RULE 2: after more than ``stop_after_epochs`` worse epochs in a row the run ends.
RULE 3: after more than ``patience_epochs`` each further one reloads the best weights and divides
the learning rate; a rate that is below ``min_learning_rate`` already ends the run instead.
RULE 4: the best weights are the result.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import lightning as L
import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from terralink.atomic_write import write_atomically
from terralink.data.schema import StrictModel


class Optimizer(StrictModel):
    """The method and its rate; weight decay spares norms and biases."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-2
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of sgd

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        every = list(parameters)
        groups = [
            {"params": [p for p in every if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.kind == "sgd":
            return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum)
        method = torch.optim.AdamW if self.kind == "adamw" else torch.optim.Adam
        return method(groups, lr=self.learning_rate)


class Schedule(StrictModel):
    """A linear warm-up to the learning rate, then what the kind says."""

    warmup_steps: NonNegativeInt = 0

    def factor(self, step: int, *, steps: int, steps_per_epoch: int) -> float:
        """The share of the learning rate at ``step`` (from 0) of a run of ``steps``."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.decay(min(done, 1.0), step // steps_per_epoch)

    def decay(self, _done: float, _epoch: int) -> float:
        """The factor when the share ``done`` of the run after its warm-up lies behind."""
        return 1.0


class Constant(Schedule):
    kind: Literal["constant"]


class Cosine(Schedule):
    """Down to zero along half a cosine (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"]

    def decay(self, done: float, _epoch: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * done))


class Poly(Schedule):
    """(1 - done) ** power, as DeepLab and PP-LinkNet have it."""

    kind: Literal["poly"]
    power: PositiveFloat = 0.9

    def decay(self, done: float, _epoch: int) -> float:
        return float((1 - done) ** self.power)


class Step(Schedule):
    """Multiplied by ``gamma`` every ``epochs`` epochs; LinkNetB7 halves every 10."""

    kind: Literal["step"]
    epochs: PositiveInt = 10
    gamma: PositiveFloat = 0.5

    def decay(self, _done: float, epoch: int) -> float:
        return float(self.gamma ** (epoch // self.epochs))


class MultiStep(Schedule):
    """Multiplied by ``gamma`` at each of the epochs."""

    kind: Literal["multistep"]
    epochs: tuple[PositiveInt, ...]
    gamma: PositiveFloat = 0.1

    def decay(self, _done: float, epoch: int) -> float:
        return float(self.gamma ** sum(epoch >= mark for mark in self.epochs))


class ReloadAndDivide(Schedule):
    """D-LinkNet's: see ``terralink.train.schedule``."""

    kind: Literal["reload_and_divide"]
    patience_epochs: PositiveInt = 3
    divide_by: PositiveFloat = 5.0
    stop_after_epochs: PositiveInt = 6
    min_learning_rate: PositiveFloat = 5e-7


AnySchedule = Annotated[
    Constant | Cosine | Poly | Step | MultiStep | ReloadAndDivide, Field(discriminator="kind")
]


class ReloadAndDivideCallback(L.Callback):
    """Follows the rules above; the best weights lie in ``out``/lowest_loss.ckpt."""

    def __init__(self, config: ReloadAndDivide, out: Path):
        self.config, self.path = config, out / "lowest_loss.ckpt"
        self.lowest, self.worse = math.inf, 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["loss_epoch"])
        if loss < self.lowest:
            self.lowest, self.worse = loss, 0
            if trainer.is_global_zero:
                self._keep(pl_module)
            return
        self.worse += 1
        if self.worse > self.config.stop_after_epochs:
            trainer.should_stop = True
        elif self.worse > self.config.patience_epochs:
            self._reload_and_divide(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._reload(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "worse": self.worse}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest, self.worse = state_dict["lowest"], state_dict["worse"]

    def _keep(self, module: L.LightningModule) -> None:
        with write_atomically(self.path) as part:
            torch.save(module.state_dict(), part)

    def _reload_and_divide(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        if optimizer.param_groups[0]["lr"] < self.config.min_learning_rate:
            trainer.should_stop = True
            return
        self._reload(trainer, module)
        for group in optimizer.param_groups:
            group["lr"] /= self.config.divide_by
        # The schedule multiplies its own rates by 1: they are what lasts.
        schedule = trainer.lr_scheduler_configs[0].scheduler
        schedule.base_lrs = [rate / self.config.divide_by for rate in schedule.base_lrs]

    def _reload(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.strategy.barrier()  # the first process has written them
        module.load_state_dict(torch.load(self.path, weights_only=True))
