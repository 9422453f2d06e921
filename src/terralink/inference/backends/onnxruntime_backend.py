"""Model files by ONNX Runtime: on the GPU where its CUDA package finds one, else on the CPU.

No other module of prediction imports ONNX Runtime, which the core install leaves out.
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
from terralink.inference.backends.openvino_backend import is_int8, read_network
from terralink.inference.model import PROB_SCALE, Model

_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
_ERRORS = 3  # log errors only: what it warns of, such as a missing CUDA library, ``provider`` shows
_WORKERS = 2  # a tile starts while Python handles the result of the last


class OnnxRuntime(Model):
    """An ONNX file for tiles of any size that is a multiple of 32.

    ``threads`` limits the CPU cores; None takes all.
    Raises ``ModelError`` when the file is not a model.
    """

    provider_name = "onnxruntime"

    def __init__(self, path: Path, *, threads: int | None = None):
        network, metadata = read_network(path)
        super().__init__(path, metadata)
        self._int8 = is_int8(network)
        self._session = _session(path, threads or os.cpu_count() or 1)

    @property
    def on_cuda(self) -> bool:
        """Whether a GPU computes; ONNX Runtime falls back to the CPU where it finds none."""
        return _CUDA in self._session.get_providers()

    @property
    def provider(self) -> str:
        device = "CUDA" if self.on_cuda else "CPU"
        return f"ONNX Runtime {device}, {'int8' if self._int8 else 'fp32'}"

    def _compute(
        self, images: Iterable[NDArray[np.uint8]], *, as_uint8: bool
    ) -> Iterator[NDArray[Any]]:
        work = self._uint8 if as_uint8 else self._prob
        running: deque[Future[NDArray[Any]]] = deque()
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="onnxruntime")
        try:
            for image in images:
                if len(running) == 2 * _WORKERS:
                    yield running.popleft().result()
                running.append(pool.submit(work, image))
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _uint8(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        prob = self._prob(image)
        scaled = np.multiply(prob, PROB_SCALE, out=prob)
        return np.rint(scaled, out=scaled).astype(np.uint8)

    def _prob(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        (prob,) = self._session.run(None, {self._input: image[None].astype(np.float32)})
        first: NDArray[np.float32] = prob[0]
        return first

    @property
    def _input(self) -> str:
        return str(self._session.get_inputs()[0].name)


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads // _WORKERS)
    options.log_severity_level = _ERRORS
    options.enable_mem_pattern = False  # else it keeps a memory plan for each tile size
    available = onnxruntime.get_available_providers()
    providers = [name for name in (_CUDA, _CPU) if name in available]
    try:
        return onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
    except Exception as error:  # its errors have no other common class
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"ONNX Runtime does not take {path}: {reason}") from error
