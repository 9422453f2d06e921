"""Raw levels to what a network was trained on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Levels:
    """How a network wants its levels: (0..255 - mean) / std, a value a band.

    Bands beyond the third take the values of the first three in turn. ``reverse``: the network
    takes its bands in the other order, blue first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reverse: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Levels":
        """What a checkpoint's config says under ``levels``; ImageNet's where it says nothing."""
        told = config.get("levels")
        if told is None:
            return IMAGENET
        return cls(tuple(told["mean"]), tuple(told["std"]), bool(told["reverse"]))

    def as_config(self) -> dict[str, Any]:
        """The same as JSON takes it."""
        return asdict(self)


IMAGENET = Levels(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
DLINKNET = Levels(mean=(127.5,), std=(255 / 3.2,), reverse=True)  # BGR, x / 255 * 3.2 - 1.6


class Normalised(nn.Module):
    """A network that takes raw levels of 0 to 255: (N, C, H, W) -> logits (N, K, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, in_channels: int = 3, levels: Levels = IMAGENET):
        super().__init__()
        self.network = network
        self.reverse = levels.reverse
        self.register_buffer("mean", _per_band(levels.mean, in_channels), persistent=False)
        self.register_buffer("std", _per_band(levels.std, in_channels), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        ready = image.flip(1) if self.reverse else image
        logits: Tensor = self.network((ready - self.mean) / self.std)
        return logits


def _per_band(values: tuple[float, ...], count: int) -> Tensor:
    return torch.tensor([values[band % len(values)] for band in range(count)]).view(1, -1, 1, 1)
