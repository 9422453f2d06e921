"""LinkNet and its family: an encoder, a bridge, decoder blocks with added skips, a head.

A member differs from the others in its encoder, bridge and head only, and is a few lines. Images
are (N, bands, H, W) of any height and width: they are padded by reflection to a multiple of the
coarsest stride, and the logits (N, num_classes, H, W) are cut back.

Sources: LinkNet, Chaurasia and Culurciello 2017 (arXiv 1707.03718); D-LinkNet, Zhou et al. 2018.
"""

from itertools import pairwise, zip_longest

from torch import Tensor, nn
from torch.nn import functional as F

from terralink.models.blocks import DecoderBlock, DilatedBridge, Head
from terralink.models.encoders import Encoder, Weights
from terralink.models.registry import register


class LinkNet(nn.Module):
    """``bridge`` keeps the shape of the coarsest features; skips are added, not concatenated."""

    def __init__(
        self,
        encoder: Encoder,
        bridge: nn.Module,
        num_classes: int,
        *,
        min_width: int = 1,
        head_width: int = 32,
    ):
        super().__init__()
        self.encoder = encoder
        self.bridge = bridge
        # Down to stride 2, where the head takes over; a skip of stride 2 is used if there is one.
        widths = [*reversed(encoder.channels), *encoder.channels[: encoder.strides[0] // 4]]
        self.decoder = nn.ModuleList(
            DecoderBlock(wide, narrow, min_width=min_width) for wide, narrow in pairwise(widths)
        )
        self.head = Head(widths[-1], num_classes, width=head_width)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        *skips, coarsest = self.encoder(_padded(image, self.encoder.strides[-1]))
        logits: Tensor = self.head(self._decode(self.bridge(coarsest), skips))
        return logits[..., :height, :width]

    def _decode(self, features: Tensor, skips: list[Tensor]) -> Tensor:
        for block, skip in zip_longest(self.decoder, reversed(skips)):
            features = block(features) if skip is None else block(features) + skip
        return features


def _padded(image: Tensor, multiple: int) -> Tensor:
    height, width = image.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return image
    # An image smaller than its padding cannot be reflected; its edge is repeated instead.
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, down), mode=mode)


@register
def linknet(
    *,
    encoder: str = "resnet34",
    in_channels: int = 3,
    num_classes: int = 1,
    weights: Weights = None,
) -> LinkNet:
    """LinkNet on any timm encoder with features at strides 4, 8, 16 and 32."""
    pyramid = Encoder(encoder, in_channels=in_channels, weights=weights)
    return LinkNet(pyramid, nn.Identity(), num_classes)


@register
def linknet18(*, in_channels: int = 3, num_classes: int = 1, weights: Weights = None) -> LinkNet:
    """LinkNet on ResNet-18, the network of its paper (Chaurasia and Culurciello 2017)."""
    pyramid = Encoder("resnet18", in_channels=in_channels, weights=weights)
    return LinkNet(pyramid, nn.Identity(), num_classes)


@register
def linknet34(*, in_channels: int = 3, num_classes: int = 1, weights: Weights = None) -> LinkNet:
    """LinkNet on ResNet-34, the baseline of D-LinkNet's, PP-LinkNet's and P-LinkNet's papers."""
    pyramid = Encoder("resnet34", in_channels=in_channels, weights=weights)
    return LinkNet(pyramid, nn.Identity(), num_classes)


@register
def dlinknet(
    *,
    encoder: str = "resnet34",
    in_channels: int = 3,
    num_classes: int = 1,
    weights: Weights = None,
) -> LinkNet:
    """D-LinkNet's bridge on any timm encoder with features at strides 4, 8, 16 and 32."""
    pyramid = Encoder(encoder, in_channels=in_channels, weights=weights)
    return LinkNet(pyramid, DilatedBridge(pyramid.channels[-1]), num_classes)


@register
def dlinknet34(*, in_channels: int = 3, num_classes: int = 1, weights: Weights = None) -> LinkNet:
    """D-LinkNet34, winner of the DeepGlobe 2018 road challenge (Zhou et al. 2018)."""
    pyramid = Encoder("resnet34", in_channels=in_channels, weights=weights)
    return LinkNet(pyramid, DilatedBridge(pyramid.channels[-1]), num_classes)


def _lite(size: int, in_channels: int, num_classes: int, weights: Weights) -> LinkNet:
    # Few channels, so a skip at stride 2 too and middles of at least 32: on a CPU's int8 units
    # narrower convolutions cost the same.
    pyramid = Encoder(
        f"efficientnet_lite{size}",
        in_channels=in_channels,
        weights=weights,
        strides=(2, 4, 8, 16, 32),
    )
    return LinkNet(pyramid, nn.Identity(), num_classes, min_width=32, head_width=16)


@register
def linknet_lite0(
    *, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> LinkNet:
    """LinkNet on EfficientNet-Lite0, made for CPUs: the smallest member."""
    return _lite(0, in_channels, num_classes, weights)


@register
def linknet_lite1(
    *, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> LinkNet:
    """LinkNet on EfficientNet-Lite1."""
    return _lite(1, in_channels, num_classes, weights)


@register
def linknet_lite2(
    *, in_channels: int = 3, num_classes: int = 1, weights: Weights = None
) -> LinkNet:
    """LinkNet on EfficientNet-Lite2, slower and a little better than Lite0."""
    return _lite(2, in_channels, num_classes, weights)
