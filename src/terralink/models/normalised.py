"""Raw levels to what an encoder was trained on."""

import torch
from torch import Tensor, nn

# ImageNet's, in levels of 0 to 255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Normalised(nn.Module):
    """A network that takes raw levels of 0 to 255: (N, C, H, W) -> logits (N, K, H, W).

    Bands beyond the third take the mean and spread of the first three in turn.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, in_channels: int = 3):
        super().__init__()
        self.network = network
        self.register_buffer("mean", _per_band(IMAGENET_MEAN, in_channels), persistent=False)
        self.register_buffer("std", _per_band(IMAGENET_STD, in_channels), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network((image - self.mean) / self.std)
        return logits


def _per_band(values: tuple[float, ...], count: int) -> Tensor:
    return torch.tensor([values[band % len(values)] for band in range(count)]).view(1, -1, 1, 1)
