"""The folder of a training run by torch, without export; on the GPU where there is one.

The network computes in half precision under autocast with its weights as they were trained. Images
and probabilities are copied to and from the GPU as uint8, a quarter of the bytes of floats.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terralink.errors import ModelError
from terralink.inference.backends.openvino_backend import cpu_has_bf16
from terralink.inference.model import PROB_SCALE, Model
from terralink.model_card import Metadata
from terralink.models import pretrained
from terralink.models.network import Normalization, NormalizedNetwork

_MAX_RUNNING = 2  # the GPU computes the next image while the last is copied and used
_DTYPE_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}


@dataclass(frozen=True)
class DeviceConfig:
    """How torch computes: on "cuda" or "cpu", in which precision, compiled or not."""

    device: str
    dtype: torch.dtype
    compiled: bool

    @classmethod
    def detect(cls) -> "DeviceConfig":
        """The best of this machine: the GPU in bf16, or fp16 where it has no bf16; else the CPU."""
        if not torch.cuda.is_available():
            # Compiling takes longer than most scenes, and needs a compiler that few machines have.
            return cls("cpu", torch.bfloat16 if cpu_has_bf16() else torch.float32, compiled=False)
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        half = torch.bfloat16 if has_bf16 else torch.float16
        return cls("cuda", half, compiled=find_spec("triton") is not None)

    @property
    def description(self) -> str:
        """As text; it names the GPU, because results differ between GPUs."""
        device = "CPU" if self.device == "cpu" else f"CUDA ({torch.cuda.get_device_name()})"
        return f"torch {device}{', compiled' if self.compiled else ''}, {_DTYPE_NAMES[self.dtype]}"


class TorchModel(Model):
    """The network of a checkpoint folder: model.safetensors, and config.json with metadata.

    ``threads`` limits the CPU cores while an image is computed, and leaves the number of threads of
    the process as it was; None takes as many as torch takes.
    Raises ``ModelError`` when the folder is not such a checkpoint.
    """

    provider_name = "torch"

    def __init__(
        self, path: Path, *, config: DeviceConfig | None = None, threads: int | None = None
    ):
        network, stored = pretrained.load(path)
        super().__init__(path, _read_metadata(path, stored))
        self.config = config or DeviceConfig.detect()
        self._threads = threads
        self._network = self._prepare(network, Normalization.of(stored))

    @property
    def files(self) -> tuple[Path, ...]:
        return self.path / "model.safetensors", self.path / "config.json"

    @property
    def provider(self) -> str:
        return self.config.description

    def _prepare(self, network: nn.Module, normalization: Normalization) -> nn.Module:
        """The network on its device, in channels-last memory, in which convolutions are fastest."""
        whole = NormalizedNetwork(
            network, in_channels=len(self.metadata.bands), normalization=normalization
        ).eval()
        whole = whole.to(self.config.device).to(memory_format=torch.channels_last)
        if self.config.compiled:
            whole.compile()
        return whole

    def _compute(
        self, images: Iterable[NDArray[np.uint8]], *, as_uint8: bool
    ) -> Iterator[NDArray[Any]]:
        running: deque[_PendingResult] = deque()
        for image in images:
            if len(running) == _MAX_RUNNING:
                yield running.popleft().wait()
            with _limited_threads(self._threads):
                running.append(self._start(image, as_uint8=as_uint8))
        while running:
            yield running.popleft().wait()

    @torch.inference_mode()
    def _start(self, image: NDArray[np.uint8], *, as_uint8: bool) -> "_PendingResult":
        pixels = torch.tensor(image[None], device=self.config.device)
        half = self.config.dtype is not torch.float32
        with torch.autocast(self.config.device, self.config.dtype, enabled=half):
            logits = self._network(pixels.to(torch.float32, memory_format=torch.channels_last))
        prob = _probabilities(logits.float())[0]
        result = (prob * PROB_SCALE).round().to(torch.uint8) if as_uint8 else prob
        return _PendingResult.copy_to_cpu(result)


@contextmanager
def _limited_threads(threads: int | None) -> Iterator[None]:
    """Let torch take ``threads`` CPU cores here; afterwards as many as before."""
    before = torch.get_num_threads()
    if threads is None or threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _PendingResult:
    """A result that the GPU may still compute; ``copied`` is the event when ``tensor`` is ready."""

    tensor: Tensor
    copied: torch.cuda.Event | None

    @classmethod
    def copy_to_cpu(cls, result: Tensor) -> "_PendingResult":
        if result.device.type == "cpu":
            return cls(result, None)
        tensor = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
        tensor.copy_(result, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        return cls(tensor, copied)

    def wait(self) -> NDArray[Any]:
        if self.copied is not None:
            self.copied.synchronize()
        array: NDArray[Any] = self.tensor.numpy()
        return array


def _probabilities(logits: Tensor) -> Tensor:
    """(N, classes, H, W), as in the exported file."""
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def _read_metadata(path: Path, config: dict[str, Any]) -> Metadata:
    if "metadata" not in config:
        raise ModelError(
            f"{path}/config.json has no metadata; was it written by 'train' or 'import'?"
        )
    return Metadata.from_props({"terralink": json.dumps(config["metadata"])}, source=str(path))
