"""Backward passes of depthwise convolutions on the CPU: torch in bf16 and fp32, and terralink's.

    python benchmarks/depthwise.py

Needs the extra 'train'. The shapes are those of EfficientNet-Lite0 on sixteen crops of 256 px,
channels last. The baseline is torch in bf16; terralink's layers (`terralink/train/depthwise.py`)
are in bf16, too.
"""

from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor, nn

from terralink.train import depthwise

_SHAPES = [(96, 128, 3, 2), (144, 64, 5, 2), (672, 16, 5, 1), (1152, 8, 5, 1)]
_ROUNDS = 3


def backward(layer: nn.Conv2d, image: Tensor, dtype: torch.dtype) -> float:
    """Seconds for the gradients of input and weights, the least of some rounds."""

    def once() -> Callable[[], object]:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            out = layer(image.to(dtype).requires_grad_())
        return lambda: out.backward(torch.ones_like(out))

    return min(_timed(once()) for _ in range(_ROUNDS))


def _timed(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def line(channels: int, side: int, kernel: int, stride: int) -> str:
    layout = torch.channels_last
    image = torch.randn(16, channels, side, side).to(memory_format=layout)
    layer = nn.Conv2d(
        channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
    ).to(memory_format=layout)  # type: ignore[call-overload]
    bf16, fp32 = (backward(layer, image, dtype) for dtype in (torch.bfloat16, torch.float32))
    depthwise.speed_up_depthwise(nn.Sequential(layer))
    ours = backward(layer, image, torch.bfloat16)
    times = [f"{1e3 * each:.1f}" for each in (bf16, fp32, ours)]
    cells = [channels, side, kernel, stride, *times, f"{bf16 / fp32:.1f}", f"{bf16 / ours:.1f}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    print(
        "| channels | side px | kernel | stride | bf16 ms | fp32 ms | ours ms "
        "| bf16 / fp32 | bf16 / ours |\n|---|---|---|---|---|---|---|---|---|"
    )
    for shape in _SHAPES:
        print(line(*shape))


if __name__ == "__main__":
    main()
