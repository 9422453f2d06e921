"""The training step, the validation figures and the schedule, as a LightningModule."""

import math
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from terralink import losses, models
from terralink.data.chips import IGNORE
from terralink.models.normalised import Normalised
from terralink.train.recipe import Recipe


class Segmentation(L.LightningModule):
    """Trains the recipe's network on its loss and reports IoU and F1 on each validation set."""

    def __init__(self, recipe: Recipe):
        super().__init__()
        self.recipe = recipe
        network = models.create_model(
            recipe.model.name, num_classes=len(recipe.model.classes), weights=recipe.model.weights
        )
        _depthwise_in_fp32(network)
        self.network = Normalised(network).to(memory_format=torch.channels_last)
        self.loss = losses.by_name(recipe.loss)
        self.counts: dict[str, Tensor] = {}

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.contiguous(memory_format=torch.channels_last))
        return logits

    def training_step(self, batch: Mapping[str, Tensor], _index: int) -> Tensor:
        loss = self.loss(self(batch["image"]).float(), batch["mask"])
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(
        self, batch: Mapping[str, Tensor], _index: int, dataloader_idx: int = 0
    ) -> None:
        name = list(self.recipe.val)[dataloader_idx]
        prob = torch.sigmoid(self(batch["image"]).float()[:, 0])
        truth, counted = batch["mask"] == 1, batch["mask"] != IGNORE
        pred = (prob > self.recipe.threshold) & counted
        counts = torch.stack([(pred & truth).sum(), (pred & ~truth).sum(), (~pred & truth).sum()])
        self.counts[name] = self.counts.get(name, torch.zeros_like(counts)) + counts

    def on_validation_epoch_end(self) -> None:
        for name, counts in self.counts.items():
            hit, false, missed = counts.float()
            self.log(f"{name}/iou", hit / (hit + false + missed).clamp(min=1), prog_bar=True)
            self.log(f"{name}/f1", 2 * hit / (2 * hit + false + missed).clamp(min=1))
        self.counts.clear()

    def configure_optimizers(self) -> Any:
        wanted = self.recipe.optimizer
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        kept = [p for p in self.network.parameters() if p.ndim <= 1]  # norms and biases
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": wanted.weight_decay},
                {"params": kept, "weight_decay": 0.0},
            ],
            lr=wanted.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._cosine)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _cosine(self, step: int) -> float:
        warmup, steps = self.recipe.optimizer.warmup_steps, self.recipe.trainer.steps
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class _DepthwiseFp32(nn.Conv2d):
    def forward(self, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


def _depthwise_in_fp32(network: nn.Module) -> None:
    """Keep depthwise convolutions out of bf16.

    Their bf16 gradients on CPUs take 5 to 20 times the time of fp32 (docs/log.md), and more than
    all other layers together.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and 1 < module.groups == module.in_channels:
            module.__class__ = _DepthwiseFp32
