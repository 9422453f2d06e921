"""The training step and the figures of a validation set, as a LightningModule.

Figures are computed from counts that add over chips and processes.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terralink import losses, models
from terralink.data.chips import IGNORE
from terralink.errors import TrainingError
from terralink.losses.regions import Shift
from terralink.metrics import Confusion, ImageMean, count_patches
from terralink.models.network import NormalizedNetwork
from terralink.raster.pixel_values import find_positive
from terralink.train import depthwise
from terralink.train.recipe import Recipe


@dataclass(frozen=True)
class ValCounts:
    """Pixels, patches of 16 px and images; of two classes (one probability) or more."""

    pixels: Confusion
    patches: Confusion
    images: ImageMean

    @classmethod
    def of(cls, prob: Tensor, mask: Tensor, *, threshold: float) -> "ValCounts":
        """Count one chip: ``prob`` (K, H, W) in 0 to 1, ``mask`` (H, W) of class indices.

        With K = 1 a pixel is of class 1 where its probability is ``threshold`` or more, else the
        most probable class is taken.
        """
        truth = mask.cpu().numpy()
        bands = prob.float().cpu().numpy()
        two = len(bands) == 1
        pred = find_positive(bands[0], threshold).astype(np.uint8) if two else bands.argmax(axis=0)
        valid = truth != IGNORE
        pixels = Confusion.of(truth, pred, num_classes=max(2, len(bands)), valid=valid)
        squares = count_patches(truth == 1, pred == 1, valid=valid) if two else Confusion.zero()
        return cls(pixels, squares, pixels.image_iou() if two else ImageMean())

    def __add__(self, other: "ValCounts") -> "ValCounts":
        return ValCounts(
            self.pixels + other.pixels, self.patches + other.patches, self.images + other.images
        )

    def figures(self) -> dict[str, float]:
        """IoU, F1 and accuracy: of class 1 where there are two, else the mean over classes."""
        if self.pixels.num_classes > 2:
            return {
                "miou": _mean_of_known(self.pixels.iou()),
                "f1": _mean_of_known(self.pixels.f1()),
                "accuracy": _or_zero(self.pixels.accuracy()),
            }
        return {
            "iou": _or_zero(self.pixels.iou()[1]),
            "f1": _or_zero(self.pixels.f1()[1]),
            "accuracy": _or_zero(self.pixels.accuracy()),
            "image_iou": _or_zero(self.images.mean),
            "patch_f1": _or_zero(self.patches.f1()[1]),
            "patch_accuracy": _or_zero(self.patches.accuracy()),
        }


def probabilities(logits: Tensor) -> Tensor:
    """(N, K, H, W) logits to probabilities: a sigmoid where K = 1, else a softmax."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def predict_eight_views(network: nn.Module, image: Tensor) -> Tensor:
    """The mean probability (N, K, H, W) over the flips and quarter turns of ``image``."""
    total = torch.zeros(())
    for turns in range(4):
        for flipped in (False, True):
            view = torch.rot90(image.flip(-1) if flipped else image, turns, (-2, -1))
            prob = torch.rot90(probabilities(network(view).float()), -turns, (-2, -1))
            total = total + (prob.flip(-1) if flipped else prob)
    return total / 8


def scores(
    network: nn.Module,
    sets: Mapping[str, Iterable[Mapping[str, Any]]],
    *,
    threshold: float,
    tta: bool = False,
) -> dict[str, float]:
    """Every figure of every set, as ``set/figure``; see ``score``."""
    return {
        f"{name}/{figure}": value
        for name, batches in sets.items()
        for figure, value in score(network, batches, threshold=threshold, tta=tta).figures().items()
    }


def score(
    network: nn.Module,
    batches: Iterable[Mapping[str, Any]],
    *,
    threshold: float,
    tta: bool = False,
) -> ValCounts:
    """Count batches of images (N, C, H, W) and masks (N, H, W); with ``tta`` in eight views."""
    counts = []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for batch in batches:
            image = batch["image"].to(device)
            prob = (
                predict_eight_views(network, image)
                if tta
                else probabilities(network(image).float())
            )
            chips = zip(prob, batch["mask"], strict=True)
            counts += [ValCounts.of(each, mask, threshold=threshold) for each, mask in chips]
    return sum(counts[1:], start=counts[0])


def _mean_of_known(each: NDArray[np.float64]) -> float:
    """Over the classes that have a score."""
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else 0.0


def _or_zero(value: float) -> float:
    """A set without the class and without a claim of it has no score; 0 keeps the logs numeric."""
    return 0.0 if math.isnan(value) else float(value)


class SegmentationTask(L.LightningModule):
    """Trains the recipe's network on its loss and scores it on each validation set.

    ``steps`` and ``steps_per_epoch`` are those of the whole run.
    """

    def __init__(self, recipe: Recipe, *, steps: int, steps_per_epoch: int):
        super().__init__()
        self.recipe, self.steps, self.steps_per_epoch = recipe, steps, steps_per_epoch
        config = recipe.model
        network = models.create_model(
            config.name,
            num_classes=len(config.classes),
            in_channels=len(config.bands),
            weights=config.weights,
        )
        depthwise.speed_up_depthwise(network)
        self.network = NormalizedNetwork(network, in_channels=len(config.bands)).to(
            memory_format=torch.channels_last
        )
        self.loss = losses.build(recipe.loss)
        self.counts: dict[str, ValCounts] = {}

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
        config = self.recipe.shifts
        if config is None:
            whole: Tensor = self.loss(self(image).float(), mask)
            return whole
        rng = np.random.default_rng((self.recipe.trainer.seed, self.global_step))
        shift = Shift.sample(image.shape[-1], config.max_px, rng)
        logits = self(shift.views(image)).float()
        apart = shift.disagreement(probabilities(logits))
        self.log("apart", apart, on_step=False, on_epoch=True, sync_dist=True)
        views: Tensor = self.loss(logits, shift.views(mask)) + config.weight * apart
        return views

    def validation_step(
        self, batch: Mapping[str, Any], _index: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Count the batch; the probabilities are what callbacks draw."""
        name = list(self.recipe.val)[dataloader_idx]
        prob = probabilities(self(batch["image"]).float())
        for each, mask in zip(prob, batch["mask"], strict=True):
            count = ValCounts.of(each, mask, threshold=self.recipe.threshold)
            self.counts[name] = self.counts[name] + count if name in self.counts else count
        return prob

    def on_validation_epoch_end(self) -> None:
        for name, count in _sum_over_processes(self.counts).items():
            for figure, value in count.figures().items():
                self.log(f"{name}/{figure}", value, prog_bar=figure in ("iou", "miou"))
        self.counts = {}

    def configure_optimizers(self) -> Any:
        optimizer = self.recipe.optimizer.build(self.network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: self.recipe.schedule.factor(
                step, steps=self.steps, steps_per_epoch=self.steps_per_epoch
            ),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _sum_over_processes(counts: dict[str, ValCounts]) -> dict[str, ValCounts]:
    """The sums over all processes that train together."""
    if not torch.distributed.is_initialized():
        return counts
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, counts)
    first, *others = parts
    for other in others:
        first = {
            name: first[name] + other[name] if name in other else first[name] for name in first
        }
    return dict(first)
