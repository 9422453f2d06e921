"""The training step, the validation figures and the schedule, as a LightningModule."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from terralink import losses, models
from terralink.errors import TrainingError
from terralink.losses.shifts import Shift
from terralink.models.normalised import Normalised
from terralink.train import depthwise
from terralink.train.recipe import Recipe
from terralink.train.score import Tally, probabilities


class Segmentation(L.LightningModule):
    """Trains the recipe's network on its loss and scores it on each validation set.

    ``steps`` and ``steps_per_epoch`` are those of the whole run.
    """

    def __init__(self, recipe: Recipe, *, steps: int, steps_per_epoch: int):
        super().__init__()
        self.recipe, self.steps, self.steps_per_epoch = recipe, steps, steps_per_epoch
        wanted = recipe.model
        network = models.create_model(
            wanted.name,
            num_classes=len(wanted.classes),
            in_channels=len(wanted.bands),
            weights=wanted.weights,
        )
        depthwise.make_fast(network)
        self.network = Normalised(network, in_channels=len(wanted.bands)).to(
            memory_format=torch.channels_last
        )
        self.loss = losses.build(recipe.loss)
        self.tallies: dict[str, Tally] = {}

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.contiguous(memory_format=torch.channels_last))
        return logits

    def on_train_epoch_start(self) -> None:
        if self.recipe.trainer.freeze_norms:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def training_step(self, batch: Mapping[str, Any], _index: int) -> Tensor:
        loss = self._loss(batch["image"], batch["mask"])
        if not torch.isfinite(loss):
            chips = ", ".join(dict.fromkeys(batch["name"]))
            raise TrainingError(
                f"the loss became {loss.item()} at step {self.global_step}, at the chips {chips}; "
                "last.ckpt is of before: look at these chips, or lower the learning rate"
            )
        self.log("loss", loss, prog_bar=True, on_step=True, on_epoch=True, sync_dist=True)
        return loss

    def _loss(self, image: Tensor, mask: Tensor) -> Tensor:
        """The recipe's loss of samples; where it wants shifts, of two views and their agreement."""
        wanted = self.recipe.shifts
        if wanted is None:
            whole: Tensor = self.loss(self(image).float(), mask)
            return whole
        rng = np.random.default_rng((self.recipe.trainer.seed, self.global_step))
        shift = Shift.drawn(image.shape[-1], wanted.most_px, rng)
        logits = self(shift.views(image)).float()
        apart = shift.apart(probabilities(logits))
        self.log("apart", apart, on_step=False, on_epoch=True, sync_dist=True)
        views: Tensor = self.loss(logits, shift.views(mask)) + wanted.weight * apart
        return views

    def validation_step(
        self, batch: Mapping[str, Any], _index: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Count the batch; the probabilities are what callbacks draw."""
        name = list(self.recipe.val)[dataloader_idx]
        prob = probabilities(self(batch["image"]).float())
        for each, mask in zip(prob, batch["mask"], strict=True):
            tally = Tally.of(each, mask, threshold=self.recipe.threshold)
            self.tallies[name] = self.tallies[name] + tally if name in self.tallies else tally
        return prob

    def on_validation_epoch_end(self) -> None:
        for name, tally in _over_processes(self.tallies).items():
            for figure, value in tally.figures().items():
                self.log(f"{name}/{figure}", value, prog_bar=figure in ("iou", "miou"))
        self.tallies = {}

    def configure_optimizers(self) -> Any:
        optimizer = self.recipe.optimizer.build(self.network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: self.recipe.schedule.factor(
                step, steps=self.steps, steps_per_epoch=self.steps_per_epoch
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _over_processes(tallies: dict[str, Tally]) -> dict[str, Tally]:
    """The sums over all processes that train together."""
    if not torch.distributed.is_initialized():
        return tallies
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, tallies)
    first, *others = parts
    for other in others:
        first = {
            name: first[name] + other[name] if name in other else first[name] for name in first
        }
    return dict(first)
