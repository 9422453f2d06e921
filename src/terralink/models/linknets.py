"""LinkNet and its family: an encoder, a bridge, decoder blocks with added skips, a head.

A member differs from the others in its encoder, bridge and head only, and is a few lines. Those
that end in a number are the networks of the papers; those without take any encoder of timm's.

Sources: LinkNet, Chaurasia and Culurciello 2017; D-LinkNet, Zhou et al. 2018; PP-LinkNet, Tran et
al. 2020; P-LinkNet, Ding et al. 2020; LinkNetB7, Gong, Zong and Du.
"""

from itertools import pairwise, zip_longest
from typing import Unpack

from torch import Tensor, nn

from terralink.models.antialias import add_blur
from terralink.models.blocks import (
    DecoderBlock,
    DilatedBridge,
    FullSizeHead,
    Head,
    LinkNetHead,
    NoBridge,
    PoolingBridge,
    PyramidBridge,
)
from terralink.models.encoders import Encoder, StageEncoder
from terralink.models.network import CommonArgs, EncoderArgs, Network, register

Bridge = DilatedBridge | NoBridge | PoolingBridge | PyramidBridge


class LinkNet(Network):
    """``bridge`` keeps the shape of the coarsest features; skips are added, not concatenated.

    The decoder goes back through the encoder's strides to that at which ``head`` takes over.
    """

    def __init__(
        self,
        encoder: Encoder | StageEncoder,
        bridge: Bridge,
        head: FullSizeHead | Head | LinkNetHead,
        *,
        min_width: int = 1,
    ):
        coarsest = encoder.strides[-1]
        super().__init__(
            in_channels=encoder.in_channels,
            stride=coarsest,
            receptive_field_px=bridge.receptive_field_cells * coarsest,
        )
        self.encoder = encoder
        self.bridge = bridge
        levels = [*zip(encoder.strides, encoder.channels, strict=True)][::-1]
        if levels[-1][0] != head.stride:
            levels.append((head.stride, head.in_channels))
        self.decoder = nn.ModuleList(
            DecoderBlock(wide, narrow, stride=coarse // fine, min_width=min_width)
            for (coarse, wide), (fine, narrow) in pairwise(levels)
        )
        self.head = head

    def logits(self, image: Tensor) -> Tensor:
        *skips, coarsest = self.encoder(image)
        logits: Tensor = self.head(self._decode(self.bridge(coarsest), skips))
        return logits

    def _decode(self, features: Tensor, skips: list[Tensor]) -> Tensor:
        for block, skip in zip_longest(self.decoder, reversed(skips)):
            features = block(features) if skip is None else block(features) + skip
        return features


@register
def linknet(
    *, encoder: str = "resnet34", num_classes: int = 1, **arguments: Unpack[EncoderArgs]
) -> LinkNet:
    """LinkNet on any timm encoder with features at strides 4, 8, 16 and 32.

    Source: Chaurasia and Culurciello 2017.
    """
    pyramid = Encoder(encoder, **arguments)
    return LinkNet(pyramid, NoBridge(), LinkNetHead(pyramid.channels[0], num_classes))


@register
def linknet18(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on ResNet-18, the network of its paper.

    Source: Chaurasia and Culurciello 2017.
    """
    return linknet(encoder="resnet18", **common)


@register
def linknet34(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on ResNet-34, the baseline of D-LinkNet's, PP-LinkNet's and P-LinkNet's papers.

    Source: Zhou et al. 2018.
    """
    return linknet(encoder="resnet34", **common)


@register
def linknet50(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on ResNet-50.

    Source: Chaurasia and Culurciello 2017.
    """
    return linknet(encoder="resnet50", **common)


@register
def linknet101(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on ResNet-101.

    Source: Chaurasia and Culurciello 2017.
    """
    return linknet(encoder="resnet101", **common)


@register
def dlinknet(
    *,
    encoder: str = "resnet34",
    dilations: tuple[int, ...] = (1, 2, 4, 8),
    num_classes: int = 1,
    **arguments: Unpack[EncoderArgs],
) -> LinkNet:
    """D-LinkNet's bridge on any timm encoder with features at strides 4, 8, 16 and 32.

    Source: Zhou et al. 2018.
    """
    pyramid = Encoder(encoder, **arguments)
    bridge = DilatedBridge(pyramid.channels[-1], dilations=dilations)
    return LinkNet(pyramid, bridge, Head(pyramid.channels[0], num_classes))


@register
def dlinknet34(**common: Unpack[CommonArgs]) -> LinkNet:
    """D-LinkNet34, winner of the DeepGlobe 2018 road challenge.

    Source: Zhou et al. 2018.
    """
    return dlinknet(encoder="resnet34", **common)


@register
def dlinknet50(**common: Unpack[CommonArgs]) -> LinkNet:
    """D-LinkNet on ResNet-50, with a fifth dilation.

    Source: Zhou et al. 2018.
    """
    return dlinknet(encoder="resnet50", dilations=(1, 2, 4, 8, 16), **common)


@register
def dlinknet101(**common: Unpack[CommonArgs]) -> LinkNet:
    """D-LinkNet on ResNet-101, with a fifth dilation.

    Source: Zhou et al. 2018.
    """
    return dlinknet(encoder="resnet101", dilations=(1, 2, 4, 8, 16), **common)


@register
def pplinknet(
    *, encoder: str = "resnet34", num_classes: int = 1, **arguments: Unpack[EncoderArgs]
) -> LinkNet:
    """PP-LinkNet's pyramid without parameters on any timm encoder.

    Source: Tran et al. 2020.
    """
    pyramid = Encoder(encoder, **arguments)
    return LinkNet(pyramid, PoolingBridge(), Head(pyramid.channels[0], num_classes))


@register
def pplinknet34(**common: Unpack[CommonArgs]) -> LinkNet:
    """PP-LinkNet34 as its paper's text has it: a pyramid without parameters.

    Source: Tran et al. 2020.
    """
    return pplinknet(encoder="resnet34", **common)


@register
def pplinknet_psp(
    *,
    encoder: str = "resnet34",
    strides: tuple[int, ...] = (4, 8, 16, 32),
    num_classes: int = 1,
    **arguments: Unpack[EncoderArgs],
) -> LinkNet:
    """PP-LinkNet's published, learned pyramid on any timm encoder: each level keeps a quarter.

    Source: Tran et al. 2020.
    """
    pyramid = Encoder(encoder, **arguments, strides=strides)
    channels = pyramid.channels[-1]
    bridge = PyramidBridge(channels, widths=(channels // 4,) * 4)
    return LinkNet(pyramid, bridge, Head(pyramid.channels[0], num_classes))


@register
def pplinknet34_psp(**common: Unpack[CommonArgs]) -> LinkNet:
    """PP-LinkNet34 as it was published: a learned pyramid.

    Source: Tran et al. 2020.
    """
    return pplinknet_psp(encoder="resnet34", **common)


@register
def pplinknet34_psp64(**common: Unpack[CommonArgs]) -> LinkNet:
    """PP-LinkNet34 as published, with stride 16: its bridge has 64x64 cells for a 1024 image.

    Source: Tran et al. 2020.
    """
    return pplinknet_psp(encoder="resnet34", strides=(4, 8, 16, 16), **common)


@register
def plinknet(
    *, encoder: str = "resnet34", num_classes: int = 1, **arguments: Unpack[EncoderArgs]
) -> LinkNet:
    """P-LinkNet's pyramid on any timm encoder: level N keeps 1/N of the channels.

    Source: Ding et al. 2020.
    """
    pyramid = Encoder(encoder, **arguments)
    channels = pyramid.channels[-1]
    bridge = PyramidBridge(channels, widths=tuple(channels // level for level in (1, 2, 3, 6)))
    return LinkNet(pyramid, bridge, LinkNetHead(pyramid.channels[0], num_classes))


@register
def plinknet34(**common: Unpack[CommonArgs]) -> LinkNet:
    """P-LinkNet34, LinkNet34 with a learned pyramid, for buildings.

    Source: Ding et al. 2020.
    """
    return plinknet(encoder="resnet34", **common)


@register
def linknetb7(
    *, encoder: str = "efficientnet_b7", num_classes: int = 1, **arguments: Unpack[EncoderArgs]
) -> LinkNet:
    """LinkNetB7: the seven stages of EfficientNet-B7, seven decoder blocks.

    Source: Gong, Zong and Du, EPFL.
    """
    stages = StageEncoder(encoder, **arguments)
    return LinkNet(stages, NoBridge(), FullSizeHead(stages.stem_channels, num_classes))


def _lite(size: int, *, num_classes: int = 1, **arguments: Unpack[EncoderArgs]) -> LinkNet:
    # Few channels, so a skip at stride 2 too and middles of at least 32: on a CPU's int8 units
    # narrower convolutions cost the same.
    pyramid = Encoder(f"efficientnet_lite{size}", strides=(2, 4, 8, 16, 32), **arguments)
    head = Head(pyramid.channels[0], num_classes, width=16)
    return LinkNet(pyramid, NoBridge(), head, min_width=32)


def _antialiased(network: LinkNet) -> LinkNet:
    """All that halves or doubles the size blurs, but for the finest two doublings.

    Those cost as much as all others together, and the mask hardly moves with them.
    """
    add_blur(network.encoder)
    add_blur(network.decoder[:-1])
    return network


@register
def linknet_lite0_antialiased(**common: Unpack[CommonArgs]) -> LinkNet:
    """`linknet_lite0` whose mask hardly depends on where the image begins.

    Source: Zhang 2019, "Making convolutional networks shift-invariant again".
    """
    return _antialiased(_lite(0, **common))


@register
def linknet_lite0(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on EfficientNet-Lite0, made for CPUs: the smallest member."""
    return _lite(0, **common)


@register
def linknet_lite1(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on EfficientNet-Lite1."""
    return _lite(1, **common)


@register
def linknet_lite2(**common: Unpack[CommonArgs]) -> LinkNet:
    """LinkNet on EfficientNet-Lite2, slower and a little better than Lite0."""
    return _lite(2, **common)
