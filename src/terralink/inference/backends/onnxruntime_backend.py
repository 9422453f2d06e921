"""Model files by ONNX Runtime: where it has CUDA on the card, else on the CPU.

Nothing that predicts imports it but this file, and this one only when it is asked for: the core
install leaves it out.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from terralink.errors import ModelError
from terralink.inference.backends import openvino_graph
from terralink.inference.model import Model

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS = 3  # what it warns of, a library of CUDA that is missing say, is told by ``provider``
_AT_ONCE = 2  # a tile begins while Python looks at what another has become


class OnnxRuntime(Model):
    """An ONNX file for tiles of any size that is a multiple of 32.

    ``threads`` bounds the cores; None takes all. Raises ``ModelError`` when the file is no model.
    """

    chosen_as = "onnxruntime"

    def __init__(self, path: Path, *, threads: int | None = None):
        read, metadata = openvino_graph.checked(path)
        super().__init__(path, metadata)
        self._int8 = openvino_graph.is_int8(read)
        self._session = _session(path, threads or os.cpu_count() or 1)

    @property
    def on_cuda(self) -> bool:
        """Whether a card computes; ONNX Runtime falls back to the CPU where it finds none."""
        return _CUDA in self._session.get_providers()

    @property
    def provider(self) -> str:
        place = "CUDA" if self.on_cuda else "CPU"
        return f"ONNX Runtime {place}, {'int8' if self._int8 else 'fp32'}"

    def _results(
        self, images: Iterable[NDArray[np.uint8]], *, as_levels: bool
    ) -> Iterator[NDArray[Any]]:
        work = self._levels if as_levels else self._prob
        running: deque[Future[NDArray[Any]]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="onnxruntime")
        try:
            for image in images:
                if len(running) == 2 * _AT_ONCE:
                    yield running.popleft().result()
                running.append(pool.submit(work, image))
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _levels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        prob = self._prob(image)
        return np.rint(np.multiply(prob, openvino_graph.LEVELS, out=prob), out=prob).astype(
            np.uint8
        )

    def _prob(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        (prob,) = self._session.run(None, {self._input: image[None].astype(np.float32)})
        found: NDArray[np.float32] = prob[0]
        return found

    @property
    def _input(self) -> str:
        return str(self._session.get_inputs()[0].name)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads // _AT_ONCE)
    options.log_severity_level = _ERRORS
    options.enable_mem_pattern = False  # it would keep a plan, and memory, for each size of tile
    wanted = [name for name in (_CUDA, _CPU) if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(os.fspath(path), options, providers=wanted)
    except Exception as error:  # its errors share no class but this
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"ONNX Runtime does not take {path}: {reason}") from error
