"""The blocks that the networks share: what convolves, what doubles the size, what ends in logits.

Tensors are (N, C, H, W).
"""

from torch import nn


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
