"""Depthwise convolutions in bf16 on CPUs, with gradients that do not take most of a step.

torch's gradients (oneDNN) of these layers in bf16 have no fast path where the convolution has
strides, and where its kernel is wider than 3: they take 10 to 30 times the time of the layer
itself (benchmarks/depthwise.py). The layer here computes the same gradients by ways that are fast.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from terralink.models.antialias import BlurredConv2d

_TILE = 3  # the widest kernel whose gradient is fast


def speed_up_depthwise(network: nn.Module) -> None:
    """Let the square depthwise convolutions of ``network`` train fast; all else stays as it is."""
    for module in network.modules():
        if type(module) in _FAST and _is_supported(module):
            module.__class__ = _FAST[type(module)]


def _is_supported(layer: nn.Module) -> bool:
    assert isinstance(layer, nn.Conv2d)
    plain = layer.bias is None and layer.padding_mode == "zeros" and layer.dilation == (1, 1)
    square = layer.kernel_size[0] == layer.kernel_size[1] >= _TILE
    depthwise = 1 < layer.groups == layer.in_channels == layer.out_channels
    return plain and square and depthwise and not isinstance(layer.padding, str)


class _FastDepthwise(nn.Conv2d):
    def _conv_forward(self, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            plain: Tensor = super()._conv_forward(features, weight, bias)
            return plain
        dtype = torch.get_autocast_dtype("cpu")
        result: Tensor = _Depthwise.apply(
            features.to(dtype), weight.to(dtype), self.stride, self.padding
        )
        return result


class _FastBlurred(_FastDepthwise, BlurredConv2d):
    pass


_FAST: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: _FastDepthwise,
    BlurredConv2d: _FastBlurred,
}


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
        (slope,), (features, weight) = slopes, ctx.saved_tensors
        done = _Convolution(features, weight, ctx.stride, ctx.padding)
        return done.grad_features(slope), done.grad_weight(slope), None, None


@dataclass(frozen=True)
class _Convolution:
    """A convolution that was done, of features (N, C, H, W) with a weight (C, 1, k, k).

    ``slope`` is the gradient by its result.
    """

    features: Tensor
    weight: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int]

    def grad_features(self, slope: Tensor) -> Tensor:
        """The gradient by the features: in fp32 where there are strides."""
        dtype = self.features.dtype if self.stride == (1, 1) else torch.float32
        finer = replace(self, features=self.features.to(dtype), weight=self.weight.to(dtype))
        return finer._gradient(slope.to(dtype), 0).to(self.features.dtype)

    def grad_weight(self, slope: Tensor) -> Tensor:
        """The gradient by the weight, in tiles of 3 x 3 taps.

        A tap's gradient knows only of the features shifted by that tap, so a tile of the gradient
        is the whole gradient of a kernel of 3 x 3 over features that begin at the tile's corner.
        """
        taps = self.weight.shape[-1]
        if taps == _TILE:
            return self._gradient(slope, 1)
        down, across = self.padding
        padded = F.pad(self.features, (across, across, down, down))
        found = torch.empty_like(self.weight)
        corners = sorted({*range(0, taps - _TILE, _TILE), taps - _TILE})
        for row, col in product(corners, corners):
            tile = ..., slice(row, row + _TILE), slice(col, col + _TILE)
            found[tile] = self._grad_tile(padded[..., row:, col:], slope)
        return found

    def _grad_tile(self, features: Tensor, slope: Tensor) -> Tensor:
        """The gradient of a kernel of 3 x 3 over the first of the features, as far as they go."""
        height, width = (
            (length - 1) * step + _TILE
            for length, step in zip(slope.shape[2:], self.stride, strict=True)
        )
        seen = features[..., :height, :width].contiguous(memory_format=torch.channels_last)
        like = self.weight[..., :_TILE, :_TILE].contiguous()
        return replace(self, features=seen, weight=like, padding=(0, 0))._gradient(slope, 1)

    def _gradient(self, slope: Tensor, by: int) -> Tensor:
        """torch's own gradient, by the features (0) or by the weight (1)."""
        settings = self.stride, self.padding, (1, 1), False, (0, 0), len(self.weight)
        found: Tensor = torch.ops.aten.convolution_backward(
            slope, self.features, self.weight, None, *settings, [by == 0, by == 1, False]
        )[by]
        return found
