"""Model files by OpenVINO on the CPU: int8 if quantised, else bf16 if the CPU has it, else fp32.

The file is compiled as it is. Only the types of its input and output are set here, by OpenVINO's
``PrePostProcessor``: uint8 in, and uint8 out where probabilities are wanted as round(255 p). The
file keeps floats at both ends, as ONNX Runtime, Deepness and GeoDeep expect.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from terralink.errors import ModelError
from terralink.inference.model import PROB_SCALE, Model
from terralink.model_card import Metadata

# Each stream holds all activations of its tile. With more cores, streams get more threads instead.
_MAX_STREAMS = 4
# More requests than streams: the next tile is ready before Python has read the last result.
_WAITING_PER_STREAM = 1
# Compiling takes as long as three large tiles. After so many tiles the compiled model is dropped:
# its buffers, hundreds of MB, are needed for the roads of such a large scene.
_MANY_TILES = 64


@cache
def core() -> openvino.Core:
    """The one ``Core`` of this process; never create another.

    A Core gives its thread a stack for signal handlers, and restores the former stack when it is
    deleted. If two Cores are deleted in the order of their creation, the second restores the stack
    of the first, which is freed memory: the next signal (Ctrl-C, or a child that ends) crashes the
    process or overwrites other data.
    """
    return openvino.Core()


def read_network(path: str | os.PathLike[str]) -> tuple[openvino.Model, Metadata]:
    """The network of a model file, and its metadata.

    Raises ``ModelError`` when the file is not a model, or does not take the bands of its metadata.
    """
    try:
        network = core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path} is not a model that can be read: {reason}") from error
    metadata = Metadata.from_props(_props(network), source=os.fspath(path))
    inputs, bands = network.inputs, len(metadata.bands)
    fits = len(inputs) == len(network.outputs) == 1 and inputs[0].partial_shape.rank == 4
    if not fits or inputs[0].partial_shape[1] != bands:
        raise ModelError(f"{path} does not take images of {bands} bands as its metadata says")
    return network, metadata


def _props(network: openvino.Model) -> dict[str, str]:
    """The metadata of the ONNX file; OpenVINO keeps it under 'framework'."""
    if not network.has_rt_info(["framework"]):
        return {}
    props = network.get_rt_info(["framework"]).value
    return {key: str(value) for key, value in props.items()}


def is_int8(network: openvino.Model) -> bool:
    """Whether some weights have 8 bits."""
    constants = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    return any(node.get_element_type() == openvino.Type.i8 for node in constants)


def cpu_has_bf16() -> bool:
    """Whether this CPU computes in bf16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def for_tiles(
    network: openvino.Model, *, bands: int, side_px: int, as_uint8: bool
) -> openvino.Model:
    """The network for images uint8 (1, bands, side, side); ``as_uint8``: gives round(255 p).

    OpenVINO optimises a network of fixed shape once.
    """
    fixed = network.clone()
    fixed.reshape([1, bands, side_px, side_px])
    types = PrePostProcessor(fixed)
    types.input().tensor().set_element_type(openvino.Type.u8)
    if as_uint8:
        types.output().postprocess().custom(_scaled_and_rounded)
        types.output().tensor().set_element_type(openvino.Type.u8)
    return types.build()


def _scaled_and_rounded(prob: openvino.Output) -> openvino.Output:
    scaled = ops.multiply(prob, ops.constant(np.float32(PROB_SCALE)))
    return ops.round(scaled, "half_to_even").output(0)


class OpenVino(Model):
    """An ONNX file compiled by OpenVINO for tiles of any size that is a multiple of 32.

    The model compiled for the last tile size is kept for the next images, unless many tiles were
    computed. ``threads`` limits the CPU cores; None takes all.
    Raises ``ModelError`` when the file is not a model.
    """

    provider_name = "openvino"

    def __init__(self, path: Path, *, threads: int | None = None):
        self._network, metadata = read_network(path)
        super().__init__(path, metadata)
        self._threads = threads
        self._last: tuple[tuple[int, bool], openvino.CompiledModel] | None = None

    @property
    def provider(self) -> str:
        if is_int8(self._network):
            return "OpenVINO CPU, int8"
        return f"OpenVINO CPU, {'bf16' if cpu_has_bf16() else 'fp32'}"

    def _compute(
        self, images: Iterable[NDArray[np.uint8]], *, as_uint8: bool
    ) -> Iterator[NDArray[Any]]:
        remaining = iter(images)
        first = next(remaining, None)
        if first is None:
            return
        count = 0
        compiled = self._compiled_for(first.shape[-1], as_uint8=as_uint8)
        try:
            for result in _run(compiled, chain([first], remaining)):
                count += 1
                yield result
        finally:
            if count >= _MANY_TILES:
                self._last = None

    def _compiled_for(self, side_px: int, *, as_uint8: bool) -> openvino.CompiledModel:
        key = side_px, as_uint8
        if self._last is None or self._last[0] != key:
            self._last = None  # before the next is compiled: each has buffers for its tiles
            self._last = key, self._compile(side_px, as_uint8=as_uint8)
        return self._last[1]

    def _compile(self, side_px: int, *, as_uint8: bool) -> openvino.CompiledModel:
        bands = len(self.metadata.bands)
        network = for_tiles(self._network, bands=bands, side_px=side_px, as_uint8=as_uint8)
        config: dict[str, object] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "PERFORMANCE_HINT_NUM_REQUESTS": _MAX_STREAMS,
        }
        if self._threads:
            config["INFERENCE_NUM_THREADS"] = self._threads
        return core().compile_model(network, "CPU", config)


def _run(
    compiled: openvino.CompiledModel, images: Iterable[NDArray[np.uint8]]
) -> Iterator[NDArray[Any]]:
    idle = [compiled.create_infer_request() for _ in range(_request_count(compiled))]
    running: deque[openvino.InferRequest] = deque()
    for image in images:
        if not idle:
            request = running.popleft()
            yield _result(request)
            idle.append(request)
        request = idle.pop()
        request.start_async({0: image[None]})
        running.append(request)
    while running:
        yield _result(running.popleft())


def _request_count(compiled: openvino.CompiledModel) -> int:
    streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    return streams * (1 + _WAITING_PER_STREAM)


def _result(request: openvino.InferRequest) -> NDArray[Any]:
    request.wait()
    return np.array(request.get_output_tensor().data[0])
