"""The parts that networks share: decoder blocks, heads, and bridges from encoder to decoder.

Tensors are (N, C, H, W). A bridge keeps height and width; it lets the network see more of the image
than one of the coarsest cells does. ``receptive_field_cells`` says how many of these cells, across,
its output depends on; infinity if on all.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU; transposed with stride ``up`` (1 or 2) where that is given."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, up: int | None = None):
        conv = (
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
            if up is None
            else nn.ConvTranspose2d(
                in_channels, out_channels, kernel, up, kernel // 2, output_padding=up - 1
            )
        )
        super().__init__(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class DecoderBlock(nn.Sequential):
    """LinkNet's decoder block: 1x1 down, 3x3 transposed with ``stride`` 1 or 2, 1x1 up.

    (N, in_channels, H, W) -> (N, out_channels, stride*H, stride*W). The middle has a quarter of the
    input's channels, and not fewer than ``min_width``.
    Source: Chaurasia and Culurciello 2017, figure 2.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 2, min_width: int = 1):
        middle = max(in_channels // 4, min_width)
        super().__init__(
            ConvNormAct(in_channels, middle, 1),
            ConvNormAct(middle, middle, 3, up=stride),
            ConvNormAct(middle, out_channels, 1),
        )


class Head(nn.Sequential):
    """D-LinkNet's end, the last doubling and the logits.

    (N, in_channels, H, W) -> (N, num_classes, 2H, 2W). Source: Zhou et al. 2018.
    """

    stride = 2

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32):
        super().__init__(
            nn.ConvTranspose2d(in_channels, width, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )
        self.in_channels = in_channels


class LinkNetHead(nn.Sequential):
    """LinkNet's end without padding: H -> 2H + 1 -> 2H - 1 -> 2H, and W likewise.

    (N, in_channels, H, W) -> (N, num_classes, 2H, 2W). Source: the LinkNet34 of Zhou et al. 2018.
    """

    stride = 2

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32):
        super().__init__(
            nn.ConvTranspose2d(in_channels, width, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, 2, padding=1),
        )
        self.in_channels = in_channels


class FullSizeHead(nn.Sequential):
    """The logits where the decoder has come back to the image's size.

    (N, in_channels, H, W) -> (N, num_classes, H, W).
    """

    stride = 1

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32):
        super().__init__(
            nn.Conv2d(in_channels, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )
        self.in_channels = in_channels


class NoBridge(nn.Identity):
    """The identity: LinkNet has no bridge."""

    receptive_field_cells = 1.0


class DilatedBridge(nn.Module):
    """D-LinkNet's centre: dilated 3x3 convolutions in cascade, the input and all outputs added.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Each step sees more: with dilations 1, 2,
    4, 8 the deepest path depends on 31 cells, and every shallower path is in the sum too. The
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
        self.receptive_field_cells = 1.0 + 2 * sum(dilations)
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

    receptive_field_cells = math.inf

    def __init__(self, *, levels: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        self.levels = levels

    def forward(self, coarsest: Tensor) -> Tensor:
        means = [resize_like(pool_parts(coarsest, level), coarsest) for level in self.levels]
        return sum(means, start=coarsest)


class PyramidBridge(nn.Module):
    """The learned pyramid: pooled, narrowed by 1x1, spread, joined with the input, 1x1 and ReLU.

    (N, C, H, W) -> (N, C, H, W); ``widths`` are the channels that each of ``levels`` keeps.
    Source: Zhao et al. 2017 (PSPNet), as PP-LinkNet's published network and P-LinkNet use it.
    """

    receptive_field_cells = math.inf

    def __init__(
        self, channels: int, *, widths: tuple[int, ...], levels: tuple[int, ...] = (1, 2, 3, 6)
    ):
        super().__init__()
        self.levels = levels
        self.narrow = nn.ModuleList(nn.Conv2d(channels, width, 1, bias=False) for width in widths)
        self.join = nn.Conv2d(channels + sum(widths), channels, 1)

    def forward(self, coarsest: Tensor) -> Tensor:
        context = [
            resize_like(narrow(pool_parts(coarsest, level)), coarsest)
            for level, narrow in zip(self.levels, self.narrow, strict=True)
        ]
        return F.relu(self.join(torch.cat([*context, coarsest], dim=1)))


def pool_parts(features: Tensor, parts: int) -> Tensor:
    """Means over ``parts`` x ``parts`` parts: (N, C, H, W) -> (N, C, parts, parts).

    It is ``adaptive_avg_pool2d`` as two matrix products: ONNX has no adaptive pooling for sizes
    that are not fixed.

    >>> image = torch.rand(1, 2, 7, 10)
    >>> torch.allclose(pool_parts(image, 3), F.adaptive_avg_pool2d(image, 3), atol=1e-6)
    True
    """
    height, width = features.shape[-2:]
    rows, cols = _part_weights(height, parts, features), _part_weights(width, parts, features)
    return rows @ features @ cols.T


def _part_weights(length: int, parts: int, like: Tensor) -> Tensor:
    """(parts, length): a row averages over its part; neighbouring parts may share a cell."""
    cell = torch.arange(length, device=like.device)
    part = torch.arange(parts, device=like.device)[:, None]
    inside = ((cell + 1) * parts > part * length) & (cell * parts < (part + 1) * length)
    weights = inside.to(like.dtype)
    return weights / weights.sum(dim=1, keepdim=True)


def resize_like(features: Tensor, like: Tensor) -> Tensor:
    """Resize ``features`` to the height and width of ``like``, linearly."""
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)
