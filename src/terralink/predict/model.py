"""A model file, ready to predict: raw levels in, probabilities out.

OpenVINO runs it on the CPU in the precision that the CPU is good at: int8 when the file is
quantised, bf16 where the CPU has it, else fp32.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openvino
from numpy.typing import NDArray

from terralink.errors import ModelError, unknown
from terralink.export.metadata import Metadata
from terralink.predict import network

# More requests than run at once: the next is there before Python has looked at the last.
_WAITING_PER_STREAM = 1


class Predictor(Protocol):
    """What the engine asks of a model: a card, and levels of images; see ``Model``."""

    metadata: Metadata

    @property
    def provider(self) -> str: ...

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]: ...


def shipped() -> dict[str, Path]:
    """Names and files of the models in the package."""
    folder = Path(str(resources.files("terralink") / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def load(name_or_path: str | os.PathLike[str], *, threads: int | None = None) -> "Model":
    """A shipped model by its name, or any model file that terralink exported.

    ``threads`` bounds the CPU cores that inference takes; None takes all.
    Raises ``ModelError`` when there is no such model, or the file is not one.
    """
    name = os.fspath(name_or_path)
    if name in shipped():
        return Model(shipped()[name], threads=threads)
    if Path(name).is_file():
        return Model(Path(name), threads=threads)
    if Path(name).suffix == ".onnx":
        raise ModelError(f"no model file {name}; 'terralink models' lists those that are shipped")
    raise ModelError(unknown("model", name, shipped()))


class Model:
    """An ONNX file compiled by OpenVINO for tiles of any size that is a multiple of 32."""

    def __init__(self, path: Path, *, threads: int | None = None):
        self.path = path
        self._threads = threads
        self._network = network.read(path)
        self.metadata = Metadata.from_props(network.props(self._network), source=str(path))
        self._check_signature()
        self._compiled: dict[tuple[int, bool], openvino.CompiledModel] = {}

    @property
    def provider(self) -> str:
        """Who computes, and in what precision."""
        core = openvino.Core()
        weights = {
            str(c.get_element_type().to_string())
            for c in self._network.get_ops()
            if c.get_type_name() == "Constant"
        }
        int8 = "i8" in weights
        capable = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "int8" if int8 else "bf16" if "BF16" in capable else "fp32"
        return f"OpenVINO CPU, {precision}"

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Levels round(255 p), uint8 (classes, side, side), of images (bands, side, side).

        They come in order. All images are of one side, a multiple of 32. Some are computed while
        the next are fetched and the last are used: as many as the machine can use, and as many
        again wait.
        """
        return self._results(images, as_levels=True)

    def stream(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """The same as ``levels``, but probabilities as float32."""
        return self._results(images, as_levels=False)

    def _results(
        self, images: Iterable[NDArray[np.uint8]], *, as_levels: bool
    ) -> Iterator[NDArray[Any]]:
        coming = iter(images)
        first = next(coming, None)
        if first is None:
            return
        compiled = self._for_side(first.shape[-1], as_levels=as_levels)
        idle = [compiled.create_infer_request() for _ in range(_held(compiled))]
        running: deque[openvino.InferRequest] = deque()
        for image in chain([first], coming):
            if not idle:
                done = running.popleft()
                yield _result(done)
                idle.append(done)
            request = idle.pop()
            request.start_async({0: image[None]})
            running.append(request)
        while running:
            yield _result(running.popleft())

    def _for_side(self, side_px: int, *, as_levels: bool) -> openvino.CompiledModel:
        key = side_px, as_levels
        if key not in self._compiled:
            bands = len(self.metadata.bands)
            fixed = network.for_tiles(self._network, bands=bands, side_px=side_px)
            config: dict[str, object] = {"PERFORMANCE_HINT": "THROUGHPUT"}
            if self._threads:
                config["INFERENCE_NUM_THREADS"] = self._threads
            self._compiled[key] = openvino.Core().compile_model(
                network.to_levels(fixed) if as_levels else fixed, "CPU", config
            )
        return self._compiled[key]

    def _check_signature(self) -> None:
        inputs, outputs = self._network.inputs, self._network.outputs
        bands = len(self.metadata.bands)
        fits = len(inputs) == len(outputs) == 1 and inputs[0].partial_shape.rank == 4
        if not fits or inputs[0].partial_shape[1] != bands:
            raise ModelError(f"{self.path} does not take images of {bands} bands as its card says")


def _held(compiled: openvino.CompiledModel) -> int:
    at_once = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    return at_once * (1 + _WAITING_PER_STREAM)


def _result(request: openvino.InferRequest) -> NDArray[Any]:
    request.wait()
    return np.array(request.get_output_tensor().data[0])
