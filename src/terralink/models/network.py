"""What every network of the registry is: an image of any height and width to logits of the same.

A member gives ``logits`` for heights and widths that are multiples of its ``stride``; around it,
images are mirrored to such a size, and the logits cut back.
"""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terralink.errors import ModelError


class Network(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes, H, W), any H and W.

    Raises ``ModelError`` for an image with another number of bands.
    """

    config: Mapping[str, Any]  # the arguments of ``create_model`` that made it

    def __init__(self, *, in_channels: int, stride: int, reach_px: float):
        super().__init__()
        self.config = {}
        self.in_channels = in_channels
        self.stride = stride
        self.reach_px = reach_px  # what the bridge sees of the image, across; inf: all of it

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if image.shape[-3] != self.in_channels:
            raise ModelError(
                f"this network takes {self.in_channels} bands, but the image has "
                f"{image.shape[-3]}; make the network with in_channels={image.shape[-3]}"
            )
        return self.logits(mirrored(image, self.stride))[..., :height, :width]

    def logits(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes, H, W); H and W are multiples of the stride."""
        raise NotImplementedError

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, config: Mapping[str, Any] | None = None
    ) -> None:
        """Write model.safetensors, config.json and README.md, as model hubs expect them.

        ``config`` is kept in config.json beside the arguments that made this network.
        """
        from terralink.models import pretrained  # which makes networks

        pretrained.save(self, folder, {"network": dict(self.config), **(config or {})})


def mirrored(image: Tensor, multiple: int) -> Tensor:
    """Mirror an image (N, C, H, W) at its lower and right edge up to multiples of ``multiple``."""
    height, width = image.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if _is_zero(down) and _is_zero(right):
        return image
    rows = _mirror(height, height + down, image.device)
    cols = _mirror(width, width + right, image.device)
    return image[:, :, rows][:, :, :, cols]


def _is_zero(length: int | torch.SymInt) -> bool:
    """Whether that is known now; in an export, a size may be learnt only when the file runs."""
    symbolic = isinstance(length, torch.SymInt)
    return statically_known_true(length == 0) if symbolic else bool(length == 0)


def _mirror(length: int, longer: int, device: torch.device) -> Tensor:
    # Said with indices, so that an exported file can do it for sizes it learns only when it runs.
    # More than one reflection is not worth having: a very small image repeats its first line.
    back = (length - 1 - torch.arange(longer, device=device)).abs()
    return (length - 1 - back).clamp(min=0)
