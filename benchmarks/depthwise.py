"""Backward passes of depthwise convolutions on the CPU: bf16 against fp32 (channels last).

    python benchmarks/depthwise.py

The shapes are those of EfficientNet-Lite0 on sixteen crops of 256 px. A ratio above 1 says that
fp32 is the faster one; see `_depthwise_in_fp32` in `terralink/train/task.py`.
"""

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

_SHAPES = [(96, 128, 3, 2), (144, 64, 5, 2), (672, 16, 5, 1), (1152, 8, 5, 1)]
_ROUNDS = 3


def backward(channels: int, side: int, kernel: int, stride: int, dtype: torch.dtype) -> float:
    """Seconds for the gradients of input and weights, the least of some rounds."""
    layout = torch.channels_last
    image = torch.randn(16, channels, side, side, dtype=dtype).to(memory_format=layout)
    weight = torch.randn(channels, 1, kernel, kernel, dtype=dtype)
    image.requires_grad_()
    weight.requires_grad_()

    def once() -> Callable[[], tuple[Tensor, ...]]:
        out = F.conv2d(image, weight, stride=stride, padding=kernel // 2, groups=channels)
        return lambda: torch.autograd.grad(out, (image, weight), torch.ones_like(out))

    return min(_timed(once()) for _ in range(_ROUNDS))


def _timed(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def main() -> None:
    print("| channels | side px | kernel | stride | bf16 ms | fp32 ms | bf16 / fp32 |")
    print("|---|---|---|---|---|---|---|")
    for shape in _SHAPES:
        bf16, fp32 = (backward(*shape, dtype) for dtype in (torch.bfloat16, torch.float32))
        cells = [*map(str, shape), f"{bf16 * 1e3:.1f}", f"{fp32 * 1e3:.1f}", f"{bf16 / fp32:.1f}"]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
