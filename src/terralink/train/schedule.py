"""Optimizers and the learning rate over time, as the papers set them.

A schedule gives the factor on the learning rate for each step. Reload-and-divide, which looks at
the training loss, is a callback (``terralink.train.plateau``): its factor here stays 1.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import nn

from terralink.data.schema import Strict


class Optimizer(Strict):
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


class Schedule(Strict):
    """A linear warm-up to the learning rate, then what the kind says."""

    warmup_steps: NonNegativeInt = 0

    def factor(self, step: int, *, steps: int, steps_per_epoch: int) -> float:
        """The share of the learning rate at ``step`` (from 0) of a run of ``steps``."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        return self.after(min(done, 1.0), step // steps_per_epoch)

    def after(self, _done: float, _epoch: int) -> float:
        """The factor when the share ``done`` of the run after its warm-up lies behind."""
        return 1.0


class Constant(Schedule):
    kind: Literal["constant"]


class Cosine(Schedule):
    """Down to zero along half a cosine (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"]

    def after(self, done: float, _epoch: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * done))


class Poly(Schedule):
    """(1 - done) ** power, as DeepLab and PP-LinkNet have it."""

    kind: Literal["poly"]
    power: PositiveFloat = 0.9

    def after(self, done: float, _epoch: int) -> float:
        return float((1 - done) ** self.power)


class Every(Schedule):
    """Times ``times`` every so many epochs; LinkNetB7 halves every 10."""

    kind: Literal["every"]
    epochs: PositiveInt = 10
    times: PositiveFloat = 0.5

    def after(self, _done: float, epoch: int) -> float:
        return float(self.times ** (epoch // self.epochs))


class MultiStep(Schedule):
    """Times ``times`` at each of the epochs."""

    kind: Literal["multistep"]
    epochs: tuple[PositiveInt, ...]
    times: PositiveFloat = 0.1

    def after(self, _done: float, epoch: int) -> float:
        return float(self.times ** sum(epoch >= mark for mark in self.epochs))


class ReloadAndDivide(Schedule):
    """D-LinkNet's: see ``terralink.train.plateau``."""

    kind: Literal["reload_and_divide"]
    patience_epochs: PositiveInt = 3
    divide_by: PositiveFloat = 5.0
    stop_after_epochs: PositiveInt = 6
    least_rate: PositiveFloat = 5e-7


AnySchedule = Annotated[
    Constant | Cosine | Poly | Every | MultiStep | ReloadAndDivide, Field(discriminator="kind")
]
