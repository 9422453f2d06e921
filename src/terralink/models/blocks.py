"""The blocks that the networks of the family share. Tensors are (N, C, H, W)."""

from torch import Tensor, nn


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU; the size stays (or doubles, when ``upsample``)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, upsample: bool = False):
        conv = (
            nn.ConvTranspose2d(in_channels, out_channels, kernel, 2, kernel // 2, output_padding=1)
            if upsample
            else nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        )
        super().__init__(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class DecoderBlock(nn.Sequential):
    """LinkNet's decoder block: 1x1 down, 3x3 transposed with stride 2, 1x1 up.

    (N, in_channels, H, W) -> (N, out_channels, 2H, 2W). The middle has a quarter of the input's
    channels, and not fewer than ``min_width``. Source: Chaurasia and Culurciello 2017, figure 2.
    """

    def __init__(self, in_channels: int, out_channels: int, *, min_width: int = 1):
        middle = max(in_channels // 4, min_width)
        super().__init__(
            ConvNormAct(in_channels, middle, 1),
            ConvNormAct(middle, middle, 3, upsample=True),
            ConvNormAct(middle, out_channels, 1),
        )


class Head(nn.Sequential):
    """The last doubling and the logits: (N, C, H, W) -> (N, num_classes, 2H, 2W)."""

    def __init__(self, in_channels: int, num_classes: int, *, width: int = 32):
        super().__init__(
            nn.ConvTranspose2d(in_channels, width, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, num_classes, 3, padding=1),
        )


class DilatedBridge(nn.Module):
    """D-LinkNet's centre: dilated 3x3 convolutions in cascade, the input and all outputs added.

    (N, C, H, W) -> (N, C, H, W). Each step sees further: with dilations 1, 2, 4, 8 the deepest path
    has a receptive field of 31 cells, and every shallower path is kept in the sum.
    Source: Zhou et al. 2018, "Unroll the Center Part".
    """

    def __init__(self, channels: int, *, dilations: tuple[int, ...] = (1, 2, 4, 8)):
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation),
                nn.ReLU(),  # not in place: the sum reads every output
            )
            for dilation in dilations
        )

    def forward(self, coarsest: Tensor) -> Tensor:
        total, reached = coarsest, coarsest
        for step in self.steps:
            reached = step(reached)
            total = total + reached
        return total
