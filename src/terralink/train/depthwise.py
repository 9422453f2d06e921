"""Depthwise convolutions in bf16 on CPUs, with gradients that do not take most of a step.

torch's gradients (oneDNN) of these layers in bf16 have no fast path where the convolution has
strides, and where its kernel is wider than 3: they take 10 to 30 times the time of the layer
itself (benchmarks/depthwise.py). The layer here computes the same gradients by ways that are fast.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_TILE = 3  # the widest kernel whose gradient is fast


def make_fast(network: nn.Module) -> None:
    """Let the square depthwise convolutions of ``network`` train fast; all else stays as it is."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _fits(module):
            module.__class__ = _FastDepthwise


def _fits(layer: nn.Conv2d) -> bool:
    plain = layer.bias is None and layer.padding_mode == "zeros" and layer.dilation == (1, 1)
    square = layer.kernel_size[0] == layer.kernel_size[1] >= _TILE
    depthwise = 1 < layer.groups == layer.in_channels == layer.out_channels
    return plain and square and depthwise and not isinstance(layer.padding, str)


class _FastDepthwise(nn.Conv2d):
    def forward(self, features: Tensor) -> Tensor:
        if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(features)
        dtype = torch.get_autocast_dtype("cpu")
        result: Tensor = _Depthwise.apply(
            features.to(dtype), self.weight.to(dtype), self.stride, self.padding
        )
        return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(features, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        features, weight = ctx.saved_tensors
        (slope,) = slopes
        by_features = _by_features(slope, features, weight, ctx.stride, ctx.padding)
        return by_features, _by_weight(slope, features, weight, ctx.stride, ctx.padding), None, None


def _by_features(
    slope: Tensor,
    features: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """The gradient by the input: in fp32 where there are strides."""
    dtype = features.dtype if stride == (1, 1) else torch.float32
    like = features.to(dtype)
    found = _gradients(slope.to(dtype), like, weight.to(dtype), stride, padding, which=0)
    return found.to(features.dtype)


def _by_weight(
    slope: Tensor,
    features: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """The gradient by the kernel, in tiles of 3 x 3.

    A tap's gradient knows only of the input shifted by that tap, so a tile of the kernel's gradient
    is the whole gradient of a kernel of 3 x 3 over an input that begins at the tile's corner.
    """
    taps = weight.shape[-1]
    if taps == _TILE:
        return _gradients(slope, features, weight, stride, padding, which=1)
    found = torch.empty_like(weight)
    tile = weight[..., :_TILE, :_TILE].contiguous()
    padded = F.pad(features, (padding[1], padding[1], padding[0], padding[0]))
    height, width = (
        (length - 1) * step + _TILE for length, step in zip(slope.shape[2:], stride, strict=True)
    )
    corners = sorted({*range(0, taps - _TILE, _TILE), taps - _TILE})
    for row in corners:
        for column in corners:
            seen = padded[..., row : row + height, column : column + width]
            seen = seen.contiguous(memory_format=torch.channels_last)
            found[..., row : row + _TILE, column : column + _TILE] = _gradients(
                slope, seen, tile, stride, (0, 0), which=1
            )
    return found


def _gradients(
    slope: Tensor,
    features: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    *,
    which: int,
) -> Tensor:
    """torch's own gradient, by the features (0) or by the weight (1)."""
    wanted = [which == 0, which == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        slope, features, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), wanted
    )[which]
    return found
