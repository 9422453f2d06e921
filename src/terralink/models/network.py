"""What every network is, how its input is normalised, and the registry: all networks by name.

A member of the registry gives ``logits`` for heights and widths that are multiples of its
``stride``; ``Network`` pads images by reflection to such a size, and crops the logits.
``@register`` a function, and ``create_model`` calls it by its name.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

import torch
from safetensors.torch import save as serialize
from torch import Tensor, nn
from torch.fx.experimental.symbolic_shapes import statically_known_true

from terralink.atomic_write import write_atomically
from terralink.errors import ModelError, unknown

WEIGHTS_FILE, CONFIG_FILE, README_FILE = "model.safetensors", "config.json", "README.md"
Weights: TypeAlias = Literal["imagenet"] | None
_LIMITS = {"in_channels": 16, "num_classes": 100}


class Network(nn.Module):
    """(N, in_channels, H, W) -> logits (N, num_classes, H, W), any H and W.

    Raises ``ModelError`` for an image with another number of bands.
    """

    config: Mapping[str, Any]  # the arguments of ``create_model``

    def __init__(self, *, in_channels: int, stride: int, receptive_field_px: float):
        super().__init__()
        self.config = {}
        self.in_channels = in_channels
        self.stride = stride
        self.receptive_field_px = receptive_field_px  # of the bridge, across; inf: whole image

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if image.shape[-3] != self.in_channels:
            raise ModelError(
                f"this network takes {self.in_channels} bands, but the image has "
                f"{image.shape[-3]}; make the network with in_channels={image.shape[-3]}"
            )
        return self.logits(pad_by_reflection(image, self.stride))[..., :height, :width]

    def logits(self, image: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, num_classes, H, W); H and W are multiples of the stride."""
        raise NotImplementedError

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, config: Mapping[str, Any] | None = None
    ) -> None:
        """Write model.safetensors, config.json and README.md, as model hubs expect them.

        ``config`` is kept in config.json beside the arguments that made this network.
        """
        save_checkpoint(self, folder, {"network": dict(self.config), **(config or {})})


def pad_by_reflection(image: Tensor, multiple: int) -> Tensor:
    """Reflect an image (N, C, H, W) at its lower and right edge up to multiples of ``multiple``."""
    height, width = image.shape[-2:]
    down, right = -height % multiple, -width % multiple
    if _is_zero(down) and _is_zero(right):
        return image
    rows = _reflected_index(height, height + down, image.device)
    cols = _reflected_index(width, width + right, image.device)
    return image[:, :, rows][:, :, :, cols]


def _is_zero(length: int | torch.SymInt) -> bool:
    """Whether it is known to be 0 now; an exported file may know a size only when it runs."""
    symbolic = isinstance(length, torch.SymInt)
    return statically_known_true(length == 0) if symbolic else bool(length == 0)


def _reflected_index(length: int, longer: int, device: torch.device) -> Tensor:
    # By indices, so that an exported file can do it for sizes that it knows only when it runs.
    # One reflection is enough: a very small image repeats its first line.
    back = (length - 1 - torch.arange(longer, device=device)).abs()
    return (length - 1 - back).clamp(min=0)


@dataclass(frozen=True)
class Normalization:
    """How a network normalises pixel values of 0 to 255: (value - mean) / std, per band.

    Bands beyond the third take the values of the first three in turn. ``reverse``: the network
    takes its bands in reverse order, blue first.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    reverse: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Normalization":
        """From a checkpoint's config (key ``levels`` in version 0.1); without it ImageNet's."""
        stored = config.get("normalization", config.get("levels"))
        if stored is None:
            return IMAGENET
        return cls(tuple(stored["mean"]), tuple(stored["std"]), bool(stored["reverse"]))

    def as_config(self) -> dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


IMAGENET = Normalization(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
DLINKNET = Normalization(mean=(127.5,), std=(255 / 3.2,), reverse=True)  # BGR, x / 255 * 3.2 - 1.6


class NormalizedNetwork(nn.Module):
    """A network that takes pixel values of 0 to 255: (N, C, H, W) -> logits (N, K, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        in_channels: int = 3,
        normalization: Normalization = IMAGENET,
    ):
        super().__init__()
        self.network = network
        self.reverse = normalization.reverse
        self.register_buffer("mean", _per_band(normalization.mean, in_channels), persistent=False)
        self.register_buffer("std", _per_band(normalization.std, in_channels), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        ordered = image.flip(1) if self.reverse else image
        logits: Tensor = self.network((ordered - self.mean) / self.std)
        return logits


def _per_band(values: tuple[float, ...], count: int) -> Tensor:
    return torch.tensor([values[band % len(values)] for band in range(count)]).view(1, -1, 1, 1)


_MEMBERS: dict[str, Callable[..., Network]] = {}
_Factory = TypeVar("_Factory", bound=Callable[..., Network])


class EncoderArgs(TypedDict, total=False):
    """The arguments of every encoder."""

    in_channels: int
    weights: Weights


class CommonArgs(EncoderArgs, total=False):
    """The arguments of every network."""

    num_classes: int


def register(factory: _Factory) -> _Factory:
    """Add ``factory`` to the registry under its own name."""
    _MEMBERS[factory.__name__] = factory
    return factory


def list_models() -> list[str]:
    """The names of all networks, sorted."""
    return sorted(_MEMBERS)


def create_model(name: str, **arguments: Any) -> Network:
    """Create the network ``name``.

    Every one takes ``in_channels`` (1 to 16 bands), ``num_classes`` (1 to 100) and ``weights``
    (None, or ``"imagenet"`` for the encoder). Raises ``ModelError`` for a name that does not exist,
    for an argument that the network does not take and for numbers out of range.

    >>> create_model("linknet34", num_classes=3).head[-1].out_channels
    3
    """
    if name not in _MEMBERS:
        raise ModelError(unknown("model", name, _MEMBERS))
    for key, maximum in _LIMITS.items():
        if not 1 <= arguments.get(key, 1) <= maximum:
            raise ModelError(
                f"model {name!r} takes {key} from 1 to {maximum}; got {arguments[key]}"
            )
    try:
        network = _MEMBERS[name](**arguments)
    except TypeError as error:
        raise ModelError(f"model {name!r}: {error}") from error
    network.config = {"name": name, **arguments}
    return network


def describe(name: str) -> str:
    """The first line of the member's docstring."""
    return (_MEMBERS[name].__doc__ or "").strip().partition("\n")[0]


def source(name: str) -> str:
    """The paper that the member's docstring names; empty for one without.

    >>> source("dlinknet34")
    'Zhou et al. 2018'
    """
    match = re.search(r"Source: (.*)\.$", _MEMBERS[name].__doc__ or "", re.MULTILINE)
    return match[1] if match else ""


def save_checkpoint(
    network: nn.Module, folder: str | os.PathLike[str], config: Mapping[str, Any]
) -> None:
    """Write the weights of ``network``, ``config`` (JSON) and a model card into ``folder``."""
    with write_atomically(Path(folder) / WEIGHTS_FILE) as part:
        # A network in channels-last memory has views that the format cannot store.
        tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
        part.write_bytes(
            serialize(tensors)
        )  # safetensors itself would write a file that only its owner can read
    with write_atomically(Path(folder) / CONFIG_FILE) as part:
        part.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
    with write_atomically(Path(folder) / README_FILE) as part:
        part.write_text(_model_card(config), encoding="utf-8")


def _model_card(config: Mapping[str, Any]) -> str:
    """README.md, with the header that model hubs read."""
    metadata = config.get("metadata", config.get("card", {}))
    name = config["network"]["name"]
    facts = {
        "network": f"{name}: {describe(name)}",
        "paper": source(name),
        "bands": ", ".join(metadata.get("bands", ())),
        "classes": ", ".join(metadata.get("classes", ())),
        "pixel size": f"{metadata['pixel_size_m']} m" if "pixel_size_m" in metadata else "",
        "licence": metadata.get("licence", ""),
        "data": metadata.get("attribution", ""),
    }
    lines = [f"- {key}: {value}" for key, value in facts.items() if value]
    return _README_TEXT.format(
        title=metadata.get("name", name),
        about=metadata.get("about", describe(name)),
        lines="\n".join(lines),
    )


_README_TEXT = """---
library_name: terralink
pipeline_tag: image-segmentation
---
# {title}
{about}

{lines}

```python
from terralink import models

network = models.from_pretrained("this folder, or its id on the hub")
```
`terralink export FOLDER --out model.onnx` makes a model file that predicts without torch.
"""
