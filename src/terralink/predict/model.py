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

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino.preprocess import PrePostProcessor

from terralink.errors import ModelError, unknown
from terralink.export.metadata import Metadata


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
        self._network = _read(path)
        self.metadata = Metadata.from_props(_props(self._network), source=str(path))
        self._check_signature()
        self._compiled: dict[int, openvino.CompiledModel] = {}

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

    def stream(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Probabilities (classes, side, side) of square images (bands, side, side), in order.

        All images are of one side, a multiple of 32. Some are computed while the next are fetched
        and the last are used: as many at a time as the machine can use, and no more are held.
        """
        coming = iter(images)
        first = next(coming, None)
        if first is None:
            return
        compiled = self._for_side(first.shape[-1])
        idle = [compiled.create_infer_request() for _ in range(_parallel(compiled))]
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

    def _for_side(self, side_px: int) -> openvino.CompiledModel:
        """Compiled for one side: a network of fixed shape is planned once, and is faster."""
        if side_px not in self._compiled:
            network = self._network.clone()
            network.reshape([1, len(self.metadata.bands), side_px, side_px])
            config: dict[str, object] = {"PERFORMANCE_HINT": "THROUGHPUT"}
            if self._threads:
                config["INFERENCE_NUM_THREADS"] = self._threads
            self._compiled[side_px] = openvino.Core().compile_model(
                _from_levels(network), "CPU", config
            )
        return self._compiled[side_px]

    def _check_signature(self) -> None:
        inputs, outputs = self._network.inputs, self._network.outputs
        bands = len(self.metadata.bands)
        fits = len(inputs) == len(outputs) == 1 and inputs[0].partial_shape.rank == 4
        if not fits or inputs[0].partial_shape[1] != bands:
            raise ModelError(f"{self.path} does not take images of {bands} bands as its card says")


def _read(path: Path) -> openvino.Model:
    try:
        return openvino.Core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path} is not a model that can be read: {reason}") from error


def _props(network: openvino.Model) -> dict[str, str]:
    """The ONNX file's metadata; OpenVINO keeps it under 'framework'."""
    if not network.has_rt_info(["framework"]):
        return {}
    told = network.get_rt_info(["framework"]).value
    return {key: str(value) for key, value in told.items()}


def _from_levels(network: openvino.Model) -> openvino.Model:
    """Let the network take uint8, so that no float copy of a tile is made outside."""
    steps = PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    return steps.build()


def _parallel(compiled: openvino.CompiledModel) -> int:
    return int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))


def _result(request: openvino.InferRequest) -> NDArray[np.float32]:
    request.wait()
    return np.array(request.get_output_tensor().data[0], np.float32)
