"""What stands between encoder and decoder, to see more of the image than a coarsest cell does.

A bridge keeps height and width. ``reach_cells`` says how many of the coarsest cells, across, its
output looks at; infinity where it looks at all of them.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NoBridge(nn.Identity):
    """LinkNet has none."""

    reach_cells = 1.0


class DilatedBridge(nn.Module):
    """D-LinkNet's centre: dilated 3x3 convolutions in cascade, the input and all outputs added.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Each step sees further: with dilations 1, 2,
    4, 8 the deepest path reaches over 31 cells, and every shallower path is kept in the sum. The
    input is left out of the sum where ``out_channels`` is another number.
    Source: Zhou et al. 2018, "Unroll the Center Part"; D-UNet's for another number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        out_channels: int | None = None,
    ):
        super().__init__()
        width = out_channels or in_channels
        self.adds_input = width == in_channels
        self.reach_cells = 1.0 + 2 * sum(dilations)
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(
                    width if step else in_channels, width, 3, padding=dilation, dilation=dilation
                ),
                nn.ReLU(),  # not in place: the sum reads every output
            )
            for step, dilation in enumerate(dilations)
        )

    def forward(self, coarsest: Tensor) -> Tensor:
        reached: Tensor = self.steps[0](coarsest)
        total = coarsest + reached if self.adds_input else reached
        for step in self.steps[1:]:
            reached = step(reached)
            total = total + reached
        return total


class PoolingBridge(nn.Module):
    """PP-LinkNet's pyramid as its text has it, without parameters.

    (N, C, H, W) -> (N, C, H, W): the means over 1x1, 2x2, 3x3 and 6x6 parts of the image, each
    brought back to H x W and added to the input (the text does not say how they are joined; added,
    as D-LinkNet's centre adds, the decoder stays as drawn).
    Source: Tran et al. 2020, section 4.1.
    """

    reach_cells = math.inf

    def __init__(self, *, levels: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        self.levels = levels

    def forward(self, coarsest: Tensor) -> Tensor:
        means = [spread(pooled(coarsest, level), coarsest) for level in self.levels]
        return sum(means, start=coarsest)


class PyramidBridge(nn.Module):
    """The learned pyramid: pooled, narrowed by 1x1, spread, joined with the input, 1x1 and ReLU.

    (N, C, H, W) -> (N, C, H, W); ``widths`` are the channels that each of ``levels`` keeps.
    Source: Zhao et al. 2017 (PSPNet), as PP-LinkNet's published network and P-LinkNet use it.
    """

    reach_cells = math.inf

    def __init__(
        self, channels: int, *, widths: tuple[int, ...], levels: tuple[int, ...] = (1, 2, 3, 6)
    ):
        super().__init__()
        self.levels = levels
        self.narrow = nn.ModuleList(nn.Conv2d(channels, width, 1, bias=False) for width in widths)
        self.join = nn.Conv2d(channels + sum(widths), channels, 1)

    def forward(self, coarsest: Tensor) -> Tensor:
        context = [
            spread(narrow(pooled(coarsest, level)), coarsest)
            for level, narrow in zip(self.levels, self.narrow, strict=True)
        ]
        return F.relu(self.join(torch.cat([*context, coarsest], dim=1)))


def pooled(features: Tensor, parts: int) -> Tensor:
    """Means over ``parts`` x ``parts`` parts: (N, C, H, W) -> (N, C, parts, parts).

    It is ``adaptive_avg_pool2d`` said as two matrix products, as ONNX knows no adaptive pooling
    over sizes that are free.

    >>> image = torch.rand(1, 2, 7, 10)
    >>> torch.allclose(pooled(image, 3), F.adaptive_avg_pool2d(image, 3), atol=1e-6)
    True
    """
    height, width = features.shape[-2:]
    rows, cols = _parts(height, parts, features), _parts(width, parts, features)
    return rows @ features @ cols.T


def _parts(length: int, parts: int, like: Tensor) -> Tensor:
    """(parts, length): a row averages over its part; neighbours share a cell that is cut."""
    cell = torch.arange(length, device=like.device)
    part = torch.arange(parts, device=like.device)[:, None]
    inside = ((cell + 1) * parts > part * length) & (cell * parts < (part + 1) * length)
    weights = inside.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True)


def spread(features: Tensor, like: Tensor) -> Tensor:
    """Bring ``features`` to the height and width of ``like``, linearly."""
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
