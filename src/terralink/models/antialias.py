"""Strided convolutions whose result depends little on where an image begins.

A convolution with strides takes every second pixel of what it computes. What is finer than that
gets another result when the image is shifted by a pixel; so do narrow roads (aliasing). Here a
binomial blur, 1 2 1 along rows and columns, comes before pixels are dropped, and after they are
spread. Both are linear, so blur and convolution are one convolution with a wider kernel, which is
what is computed; the weights keep the shape and the names that they have without.

Source: Zhang 2019, "Making convolutional networks shift-invariant again"; there the blur comes
after the activation.
"""

from copy import deepcopy

from torch import Tensor, nn
from torch.nn import functional as F

_WIDER = 2  # the blurred kernel is wider by so many taps, one on each side


class BlurredConv2d(nn.Conv2d):
    """A convolution with strides of what a binomial blur makes of its input."""

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self._conv_forward(features, blur_kernel(self.weight), self.bias)
        return result


class BlurredConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution with strides whose output goes through a binomial blur."""

    def forward(self, features: Tensor, output_size: list[int] | None = None) -> Tensor:
        del output_size
        return F.conv_transpose2d(
            features,
            blur_kernel(self.weight),
            self.bias,
            self.stride,
            self.padding,  # type: ignore[arg-type]
            self.output_padding,
            self.groups,
            self.dilation,
        )


_BLURRED_TYPES: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: BlurredConv2d,
    nn.ConvTranspose2d: BlurredConvTranspose2d,
}


def blur_kernel(weight: Tensor) -> Tensor:
    """A kernel (..., k, k) combined with the blur: (..., k + 2, k + 2).

    >>> blur_kernel(Tensor([[16.0]])).int().tolist()
    [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    """
    rows = (F.pad(weight, (0, 0, 0, 2)) + 2 * F.pad(weight, (0, 0, 1, 1))) / 4
    rows = rows + F.pad(weight, (0, 0, 2, 0)) / 4
    return (F.pad(rows, (0, 2)) + 2 * F.pad(rows, (1, 1)) + F.pad(rows, (2, 0))) / 4


def add_blur(network: nn.Module) -> None:
    """Blur in every convolution of ``network`` that has strides of 2; its weights stay."""
    for module in network.modules():
        if type(module) in _BLURRED_TYPES and _halves_or_doubles(module):
            module.__class__ = _BLURRED_TYPES[type(module)]
            _widen_padding(module, 1)


def fuse_blur(network: nn.Module) -> nn.Module:
    """A copy in which every blurred convolution is a plain one with the wider kernel."""
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, BlurredConv2d | BlurredConvTranspose2d):
            plain = nn.Conv2d if isinstance(module, BlurredConv2d) else nn.ConvTranspose2d
            module.weight = nn.Parameter(blur_kernel(module.weight.detach()))
            rows, cols = module.kernel_size
            module.kernel_size = (rows + _WIDER, cols + _WIDER)
            module.__class__ = plain  # type: ignore[assignment]
    return copy


def _halves_or_doubles(module: nn.Module) -> bool:
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    plain = module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return plain and module.stride == (2, 2) and module.dilation == (1, 1)


def _widen_padding(module: nn.Module, by: int) -> None:
    """Pad as much more as the kernel is wider on a side, so that the size stays."""
    assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    rows, cols = (int(side) for side in module.padding)
    module.padding = (rows + by, cols + by)
