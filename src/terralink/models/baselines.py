"""What the papers compare with, from segmentation-models-pytorch, on timm encoders.

Their forward is the registry's: images of any height and width, logits of the same.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import timm
from torch import Tensor, nn
from torch.nn import functional as F

from terralink.errors import ModelError
from terralink.models.blocks import pool_parts
from terralink.models.encoders import check_encoder, load_imagenet
from terralink.models.network import CommonArgs, Network, Weights, register

_STRIDE = 32


class Baseline(Network):
    """A network of segmentation-models-pytorch; ``whole_image`` where its context is a mean."""

    def __init__(self, network: nn.Module, *, in_channels: int, whole_image: bool):
        receptive_field_px = math.inf if whole_image else _STRIDE
        super().__init__(
            in_channels=in_channels, stride=_STRIDE, receptive_field_px=receptive_field_px
        )
        self.network = network

    def logits(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits


def _baseline(
    kind: str,
    *,
    encoder: str,
    in_channels: int = 3,
    num_classes: int = 1,
    weights: Weights = None,
    whole_image: bool = True,
    **more: int,
) -> Baseline:
    import segmentation_models_pytorch as smp  # takes a second: when it is asked for, not before

    check_encoder(encoder)
    make: Callable[..., nn.Module] = partial(
        getattr(smp, kind),
        f"tu-{encoder}",
        encoder_weights=None,
        in_channels=in_channels,
        classes=num_classes,
        **more,
    )
    try:
        network = make()
    except (RuntimeError, ValueError, AttributeError, AssertionError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"encoder {encoder!r} does not fit {kind}: {reason}") from error
    if weights == "imagenet":
        _fill(network.get_submodule("encoder.model"), encoder, in_channels=in_channels)
    return Baseline(network, in_channels=in_channels, whole_image=whole_image)


def _fill(pyramid: nn.Module, encoder: str, *, in_channels: int) -> None:
    levels = pyramid.feature_info.out_indices  # type: ignore[union-attr]
    make = partial(
        timm.create_model, encoder, features_only=True, in_chans=in_channels, out_indices=levels
    )
    load_imagenet(pyramid, encoder, make, in_channels=in_channels)


class _Level(nn.Module):
    """A level of PSPNet's pyramid, for sizes that are free: its own is exported for one size."""

    def __init__(self, parts: int, narrow: nn.Module):
        super().__init__()
        self.parts = parts
        self.narrow = narrow

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        mean = self.narrow(pool_parts(features, self.parts))
        return F.interpolate(mean, size=size, mode="bilinear", align_corners=True)


@register
def unet(*, encoder: str = "resnet34", **common: Unpack[CommonArgs]) -> Baseline:
    """U-Net on any timm encoder with features at strides 2 to 32.

    Source: Ronneberger et al. 2015.
    """
    return _baseline("Unet", encoder=encoder, whole_image=False, **common)


@register
def pspnet(*, encoder: str = "resnet34", **common: Unpack[CommonArgs]) -> Baseline:
    """PSPNet on any timm encoder that can be dilated to stride 8.

    Source: Zhao et al. 2017.
    """
    whole = _baseline("PSPNet", encoder=encoder, encoder_depth=5, output_stride=8, **common)
    pyramid: Any = whole.get_submodule("network.decoder.psp")
    levels = (_Level(block.pool_size, block.pool[1]) for block in pyramid.blocks)
    pyramid.blocks = nn.ModuleList(levels)
    return whole


@register
def pspnet34(**common: Unpack[CommonArgs]) -> Baseline:
    """PSPNet on ResNet-34, a baseline of PP-LinkNet's paper.

    Source: Zhao et al. 2017.
    """
    return pspnet(encoder="resnet34", **common)


@register
def deeplabv3(*, encoder: str = "resnet34", **common: Unpack[CommonArgs]) -> Baseline:
    """DeepLabV3 on any timm encoder that can be dilated to stride 8.

    Source: Chen et al. 2017.
    """
    return _baseline("DeepLabV3", encoder=encoder, **common)


@register
def deeplabv3_34(**common: Unpack[CommonArgs]) -> Baseline:
    """DeepLabV3 on ResNet-34, for paddy fields.

    Source: Heryadi et al. 2020.
    """
    return deeplabv3(encoder="resnet34", **common)


@register
def deeplabv3_50(**common: Unpack[CommonArgs]) -> Baseline:
    """DeepLabV3 on ResNet-50, for paddy fields.

    Source: Heryadi et al. 2020.
    """
    return deeplabv3(encoder="resnet50", **common)


@register
def deeplabv3_101(**common: Unpack[CommonArgs]) -> Baseline:
    """DeepLabV3 on ResNet-101, for paddy fields.

    Source: Heryadi et al. 2020.
    """
    return deeplabv3(encoder="resnet101", **common)


@register
def deeplabv3plus(*, encoder: str = "resnet34", **common: Unpack[CommonArgs]) -> Baseline:
    """DeepLabV3+ on any timm encoder that can be dilated to stride 16.

    Source: Chen et al. 2018.
    """
    return _baseline("DeepLabV3Plus", encoder=encoder, **common)
