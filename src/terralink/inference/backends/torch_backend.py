"""The folder of a run, ready to predict by torch: no export, and CUDA where there is a card.

The network computes in half precision under autocast, its weights stay as they were trained;
levels come in as bytes and go out as bytes, so a card's bus carries no floats.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terralink.errors import ModelError
from terralink.export import Metadata
from terralink.inference import Model
from terralink.inference.backends.openvino_graph import LEVELS, cpu_has_bf16
from terralink.models import pretrained
from terralink.models.normalised import Levels, Normalised

_UNDER_WAY = 2  # a card computes the next while the last is copied and used
_TOLD = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


@dataclass(frozen=True)
class Way:
    """How torch computes: "cuda" or "cpu", in what precision, and compiled or not."""

    device: str
    dtype: torch.dtype
    compiled: bool

    @classmethod
    def here(cls) -> "Way":
        """The best of this machine: a card in bf16, or fp16 where it has no bf16; else the CPU."""
        if not torch.cuda.is_available():
            # Compiling takes longer than most scenes, and a compiler that few machines have.
            return cls("cpu", torch.bfloat16 if cpu_has_bf16() else torch.float32, compiled=False)
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        half = torch.bfloat16 if has_bf16 else torch.float16
        return cls("cuda", half, compiled=find_spec("triton") is not None)

    @property
    def told(self) -> str:
        """In words; answers differ from card to card, so it is named."""
        place = "CPU" if self.device == "cpu" else f"CUDA ({torch.cuda.get_device_name()})"
        return f"torch {place}{', compiled' if self.compiled else ''}, {_TOLD[self.dtype]}"


class Trained(Model):
    """The network of a checkpoint folder: model.safetensors and config.json with a card.

    ``threads`` bounds the cores that torch takes in this process; None leaves them as they are.
    Raises ``ModelError`` when the folder is no such checkpoint.
    """

    chosen_as = "torch"

    def __init__(self, path: Path, *, way: Way | None = None, threads: int | None = None):
        if threads is not None:
            torch.set_num_threads(threads)
        network, config = pretrained.load(path)
        super().__init__(path, _card(path, config))
        self.way = way or Way.here()
        self._network = self._placed(network, Levels.of(config))

    @property
    def files(self) -> tuple[Path, ...]:
        return self.path / "model.safetensors", self.path / "config.json"

    @property
    def provider(self) -> str:
        return self.way.told

    def _placed(self, network: nn.Module, levels: Levels) -> nn.Module:
        """Where it is computed, with the memory's layout that convolutions are fastest in."""
        whole = Normalised(network, in_channels=len(self.metadata.bands), levels=levels).eval()
        whole = whole.to(self.way.device).to(memory_format=torch.channels_last)
        if self.way.compiled:
            whole.compile()
        return whole

    def _results(
        self, images: Iterable[NDArray[np.uint8]], *, as_levels: bool
    ) -> Iterator[NDArray[Any]]:
        running: deque[_Coming] = deque()
        for image in images:
            if len(running) == _UNDER_WAY:
                yield running.popleft().array()
            running.append(self._begun(image, as_levels=as_levels))
        while running:
            yield running.popleft().array()

    @torch.inference_mode()
    def _begun(self, image: NDArray[np.uint8], *, as_levels: bool) -> "_Coming":
        levels = torch.tensor(image[None], device=self.way.device)
        half = self.way.dtype is not torch.float32
        with torch.autocast(self.way.device, self.way.dtype, enabled=half):
            logits = self._network(levels.to(torch.float32, memory_format=torch.channels_last))
        prob = _probabilities(logits.float())[0]
        return _Coming.of((prob * LEVELS).round().to(torch.uint8) if as_levels else prob)


@dataclass(frozen=True)
class _Coming:
    """A result that a card may still be at; ``copied`` tells when it is here."""

    here: Tensor
    copied: torch.cuda.Event | None

    @classmethod
    def of(cls, found: Tensor) -> "_Coming":
        if found.device.type == "cpu":
            return cls(found, None)
        here = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        here.copy_(found, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        return cls(here, copied)

    def array(self) -> NDArray[Any]:
        if self.copied is not None:
            self.copied.synchronize()
        found: NDArray[Any] = self.here.numpy()
        return found


def _probabilities(logits: Tensor) -> Tensor:
    """(N, classes, H, W), as the exported file has them."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def _card(path: Path, config: dict[str, Any]) -> Metadata:
    if "card" not in config:
        raise ModelError(f"{path}/config.json has no card; was it written by 'train' or 'import'?")
    return Metadata.from_props({"terralink": json.dumps(config["card"])}, source=str(path))
