"""Model files by OpenVINO, on the CPU, in the precision that the CPU is good at.

That is int8 when the file is quantised, bf16 where the CPU has it, else fp32.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from terralink.inference.backends import openvino_graph
from terralink.inference.model import Model

# Each stream holds all layers of its tile: on many cores it is threads that are added to them.
_MOST_STREAMS = 4
# More requests than run at once: the next is there before Python has looked at the last.
_WAITING_PER_STREAM = 1
# Compiling takes as long as three large tiles. After so many it is cheap to do again, and what they
# were computed in, hundreds of MB, is better given to the roads of so large a scene.
_MANY_TILES = 64


class OpenVino(Model):
    """An ONNX file compiled by OpenVINO for tiles of any size that is a multiple of 32.

    What it is compiled to for the last size is kept for the next images, unless many came.
    ``threads`` bounds the cores; None takes all. Raises ``ModelError`` when the file is no model.
    """

    chosen_as = "openvino"

    def __init__(self, path: Path, *, threads: int | None = None):
        self._network, metadata = openvino_graph.checked(path)
        super().__init__(path, metadata)
        self._threads = threads
        self._last: tuple[tuple[int, bool], openvino.CompiledModel] | None = None

    @property
    def provider(self) -> str:
        if openvino_graph.is_int8(self._network):
            return "OpenVINO CPU, int8"
        return f"OpenVINO CPU, {'bf16' if openvino_graph.cpu_has_bf16() else 'fp32'}"

    def _results(
        self, images: Iterable[NDArray[np.uint8]], *, as_levels: bool
    ) -> Iterator[NDArray[Any]]:
        coming = iter(images)
        first = next(coming, None)
        if first is None:
            return
        seen = 0
        compiled = self._for_side(first.shape[-1], as_levels=as_levels)
        try:
            for result in _computed(compiled, chain([first], coming)):
                seen += 1
                yield result
        finally:
            if seen >= _MANY_TILES:
                self._last = None

    def _for_side(self, side_px: int, *, as_levels: bool) -> openvino.CompiledModel:
        wanted = side_px, as_levels
        if self._last is None or self._last[0] != wanted:
            self._last = None  # before the next is made: each holds memory for its tiles
            self._last = wanted, self._compiled(side_px, as_levels=as_levels)
        return self._last[1]

    def _compiled(self, side_px: int, *, as_levels: bool) -> openvino.CompiledModel:
        bands = len(self.metadata.bands)
        fixed = openvino_graph.for_tiles(self._network, bands=bands, side_px=side_px)
        config: dict[str, object] = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "PERFORMANCE_HINT_NUM_REQUESTS": _MOST_STREAMS,
        }
        if self._threads:
            config["INFERENCE_NUM_THREADS"] = self._threads
        return openvino_graph.core().compile_model(
            openvino_graph.to_levels(fixed) if as_levels else fixed, "CPU", config
        )


def _computed(
    compiled: openvino.CompiledModel, images: Iterable[NDArray[np.uint8]]
) -> Iterator[NDArray[Any]]:
    idle = [compiled.create_infer_request() for _ in range(_held(compiled))]
    running: deque[openvino.InferRequest] = deque()
    for image in images:
        if not idle:
            done = running.popleft()
            yield _result(done)
            idle.append(done)
        request = idle.pop()
        request.start_async({0: image[None]})
        running.append(request)
    while running:
        yield _result(running.popleft())


def _held(compiled: openvino.CompiledModel) -> int:
    at_once = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    return at_once * (1 + _WAITING_PER_STREAM)


def _result(request: openvino.InferRequest) -> NDArray[Any]:
    request.wait()
    return np.array(request.get_output_tensor().data[0])
