"""U-Nets: stages with pools between them, a centre, and the way back with concatenated skips.

    image -> stage 1 -> pool -> stage 2 -> ... -> pool -> centre
                 \\-> skip            \\-> skip            |
    logits <- head <- merge 1 <- up 1 <- ... <- merge n <- up n

Members differ in their stages, centre, ups and merges, all listed finest first.
Sources: Ronneberger et al. 2015; Zhou et al. 2018 (slides: the U-Net of 7 pools, D-UNet); Iglovikov
et al. 2018 (TernausNetV2), with the WideResNet-38 of Wu et al. 2016.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terralink.errors import ModelError
from terralink.models.blocks import DilatedBridge
from terralink.models.encoders import load_vgg
from terralink.models.network import Network, Weights, register


class UNet(Network):
    """``ups`` double the size, ``merges`` take what came up beside the skip of that size."""

    def __init__(
        self,
        stages: Iterable[nn.Module],
        centre: nn.Module,
        ups: Iterable[nn.Module],
        merges: Iterable[nn.Module],
        head: nn.Module,
        *,
        in_channels: int,
        receptive_field_cells: float,
    ):
        modules = nn.ModuleList(stages)
        stride = 2 ** len(modules)
        super().__init__(
            in_channels=in_channels,
            stride=stride,
            receptive_field_px=receptive_field_cells * stride,
        )
        self.stages = modules
        self.centre = centre
        self.ups = nn.ModuleList(ups)
        self.merges = nn.ModuleList(merges)
        self.head = head

    def logits(self, image: Tensor) -> Tensor:
        features, skips = image, []
        for stage in self.stages:
            skips.append(stage(features))
            features = F.max_pool2d(skips[-1], 2)
        logits: Tensor = self.head(self._decode(self.centre(features), skips))
        return logits

    def _decode(self, features: Tensor, skips: list[Tensor]) -> Tensor:
        for up, merge, skip in zip(self.ups[::-1], self.merges[::-1], skips[::-1], strict=True):
            features = merge(torch.cat([up(features), skip], dim=1))
        return features


class Convs(nn.Sequential):
    """3x3 convolutions, each with ReLU: (N, widths[0], H, W) -> (N, widths[-1], H, W)."""

    def __init__(self, *widths: int):
        layers: list[nn.Module] = []
        for wide, next_wide in pairwise(widths):
            layers += [nn.Conv2d(wide, next_wide, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers)


class Up(nn.Sequential):
    """A transposed 4x4 convolution that doubles the size, and ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False)
        super().__init__(conv, nn.ReLU(inplace=True))


class SmoothUp(nn.Sequential):
    """Nearest neighbours twice as large and two convolutions: no checkerboard."""

    def __init__(self, in_channels: int, middle: int, out_channels: int):
        super().__init__(nn.Upsample(scale_factor=2), Convs(in_channels, middle, out_channels))


class WideBlock(nn.Module):
    """Two 3x3 convolutions after norm and leaky ReLU, the input added.

    (N, in_channels, H, W) -> (N, out_channels, H, W). Source: Wu et al. 2016, with the leaky ReLU
    of Rota Bulo et al. 2018.
    """

    def __init__(self, in_channels: int, middle: int, out_channels: int):
        super().__init__()
        self.before = NormAct(in_channels)
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, middle, 3, padding=1, bias=False),
            NormAct(middle),
            nn.Conv2d(middle, out_channels, 3, padding=1, bias=False),
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        ready = self.before(features)
        added = features if isinstance(self.shortcut, nn.Identity) else self.shortcut(ready)
        total: Tensor = self.residual(ready) + added
        return total


class NormAct(nn.Sequential):
    """Batch norm and leaky ReLU."""

    def __init__(self, channels: int):
        super().__init__(nn.BatchNorm2d(channels), nn.LeakyReLU(0.01))


def _unet(
    centre: nn.Module,
    widths: tuple[int, ...],
    *,
    in_channels: int,
    num_classes: int,
    receptive_field_cells: float,
) -> UNet:
    """Two convolutions a stage and a merge; the centre gives twice the channels of the coarsest."""
    coarser = [*widths[1:], 2 * widths[-1]]
    return UNet(
        [Convs(c, w, w) for c, w in zip((in_channels, *widths), widths, strict=False)],
        centre,
        [Up(wide, narrow) for wide, narrow in zip(coarser, widths, strict=True)],
        [Convs(2 * width, width, width) for width in widths],
        nn.Conv2d(widths[0], num_classes, 3, padding=1),
        in_channels=in_channels,
        receptive_field_cells=receptive_field_cells,
    )


def _no_weights(name: str, weights: Weights) -> None:
    if weights is not None:
        raise ModelError(f"there are no ImageNet weights for {name!r}; use weights=None")


@register
def unet4(
    *, width: int = 64, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> UNet:
    """The standard U-Net: four pools and no backbone; ``width`` is the first stage's.

    Source: Ronneberger et al. 2015.
    """
    _no_weights("unet4", weights)
    widths = tuple(width * 2**level for level in range(4))
    centre = Convs(widths[-1], 2 * widths[-1], 2 * widths[-1])
    return _unet(
        centre, widths, in_channels=in_channels, num_classes=num_classes, receptive_field_cells=5
    )


@register
def unet7(
    *, width: int = 8, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> UNet:
    """The U-Net of seven pools that D-LinkNet's authors began with; ``width`` is the first stage's.

    Source: Zhou et al. 2018.
    """
    _no_weights("unet7", weights)
    widths = tuple(width * 2**level for level in range(7))
    centre = Convs(widths[-1], 2 * widths[-1], 2 * widths[-1])
    return _unet(
        centre, widths, in_channels=in_channels, num_classes=num_classes, receptive_field_cells=5
    )


@register
def dunet(
    *, width: int = 64, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> UNet:
    """D-UNet: the first six convolutions of VGG-13, six dilated ones, a U-Net's way back.

    Source: Zhou et al. 2018.
    """
    widths = (width, 2 * width, 4 * width)
    centre = DilatedBridge(widths[-1], dilations=(1, 2, 4, 8, 16, 32), out_channels=8 * width)
    network = _unet(
        centre,
        widths,
        in_channels=in_channels,
        num_classes=num_classes,
        receptive_field_cells=centre.receptive_field_cells,
    )
    if weights == "imagenet":
        load_vgg(network.stages, "vgg13", in_channels=in_channels)
    return network


@register
def ternausnetv2(
    *, width: int = 64, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> UNet:
    """TernausNetV2 on WideResNet-38, PP-LinkNet's baseline for buildings.

    Source: Iglovikov et al. 2018.
    """
    _no_weights("ternausnetv2", weights)
    depths, last = (3, 3, 6, 3), width // 2
    widths = [width * 2**level for level in range(5)]
    stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
    stages = [_wide_stage(level, depth, widths) for level, depth in enumerate(depths, start=1)]
    after = [last, 2 * last, 8 * last, 8 * last, 8 * last]  # what each up gives, finest first
    middles = [2 * last, 2 * last, 8 * last, 8 * last, 8 * last]
    widths_in = [wide + up for wide, up in zip(widths[1:], after[1:], strict=True)] + [widths[-1]]
    return UNet(
        [stem, *stages],
        nn.Identity(),
        [SmoothUp(*sizes) for sizes in zip(widths_in, middles, after, strict=True)],
        [Convs(width + last, last), *(nn.Identity() for _ in depths)],
        nn.Conv2d(last, num_classes, 1),
        in_channels=in_channels,
        receptive_field_cells=1,
    )


def _wide_stage(level: int, depth: int, widths: list[int]) -> nn.Sequential:
    """A stage of WideResNet-38; from the fourth on, blocks are half as wide in the middle."""
    wide, middle = widths[level], min(widths[level], widths[3])
    starts = [widths[level - 1], *[wide] * (depth - 1)]
    return nn.Sequential(*(WideBlock(start, middle, wide) for start in starts))
