"""The figures of a validation set, from counts that add over chips and processes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terralink.data.chips import IGNORE
from terralink.metrics import Confusion, ImageMean, patches
from terralink.raster.pixel_values import find_positive


@dataclass(frozen=True)
class Tally:
    """Pixels, patches of 16 px and images; of two classes (one probability) or more."""

    pixels: Confusion
    patches: Confusion
    images: ImageMean

    @classmethod
    def of(cls, prob: Tensor, mask: Tensor, *, threshold: float) -> "Tally":
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
        squares = patches(truth == 1, pred == 1, valid=valid) if two else Confusion.zero()
        return cls(pixels, squares, pixels.image_iou() if two else ImageMean())

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.pixels + other.pixels, self.patches + other.patches, self.images + other.images
        )

    def figures(self) -> dict[str, float]:
        """IoU, F1 and accuracy: of class 1 where there are two, else the mean over classes."""
        if self.pixels.num_classes > 2:
            return {
                "miou": _mean(self.pixels.iou()),
                "f1": _mean(self.pixels.f1()),
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


def eight_views(network: nn.Module, image: Tensor) -> Tensor:
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
) -> Tally:
    """Count batches of images (N, C, H, W) and masks (N, H, W); with ``tta`` in eight views."""
    tallies = []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for batch in batches:
            image = batch["image"].to(device)
            prob = eight_views(network, image) if tta else probabilities(network(image).float())
            chips = zip(prob, batch["mask"], strict=True)
            tallies += [Tally.of(each, mask, threshold=threshold) for each, mask in chips]
    return sum(tallies[1:], start=tallies[0])


def _mean(each: NDArray[np.float64]) -> float:
    """Over the classes that have a score."""
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else 0.0


def _or_zero(value: float) -> float:
    """A set without the class and without a claim of it has no score; 0 keeps the logs numeric."""
    return 0.0 if math.isnan(value) else float(value)
