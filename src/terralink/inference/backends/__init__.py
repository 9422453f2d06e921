"""Loads a model with what computes it: OpenVINO or ONNX Runtime for a file, torch for a folder.

``torch_backend`` alone imports torch, and ``onnxruntime_backend`` alone ONNX Runtime; both are
imported when such a model is loaded, for the core install has neither.
"""

import os
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from terralink.errors import ModelError, unknown
from terralink.inference.backends.openvino_backend import OpenVino
from terralink.inference.model import Model

if TYPE_CHECKING:
    from terralink.inference.backends.onnxruntime_backend import OnnxRuntime

_TORCH = "torch"


def list_models() -> dict[str, Path]:
    """Names and files of the models in the package."""
    folder = Path(str(resources.files("terralink") / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def load_model(
    name_or_path: str | os.PathLike[str],
    *,
    provider: str | None = None,
    threads: int | None = None,
) -> Model:
    """A bundled model by its name, a model file, or the folder of a run that 'train' wrote.

    ``provider`` is "openvino" or "onnxruntime" for model files, "torch" for the folder of a run
    (which needs the extra ``train``). None: for a file ONNX Runtime where its package for CUDA is
    installed and finds a GPU, else OpenVINO. ``threads`` limits the CPU cores; None takes all.
    Raises ``ModelError`` when there is no such model or provider, when that provider cannot take
    it or is not installed, or when the file is not a model.
    """
    name = os.fspath(name_or_path)
    if name not in list_models() and Path(name).is_dir():
        return _load_folder(name, provider, threads)
    if provider == _TORCH:
        raise ModelError(
            f"torch computes the folder of a run, and {name} is none; model files are for openvino "
            "and onnxruntime"
        )
    path = _find_file(name)
    loaders: dict[str | None, Callable[..., Model]] = {
        None: _load_best,
        OpenVino.provider_name: OpenVino,
        "onnxruntime": _load_onnx_runtime,
    }
    if provider not in loaders:
        raise ModelError(unknown("provider of model files", str(provider), filter(None, loaders)))
    return loaders[provider](path, threads=threads)


def _load_folder(name: str, provider: str | None, threads: int | None) -> Model:
    if provider not in (None, _TORCH):
        raise ModelError(
            f"{name} is a folder, which torch computes; 'terralink export' makes a model file of "
            f"the folder of a run for provider {provider!r}"
        )
    try:
        from terralink.inference.backends.torch_backend import TorchModel
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("terralink"):
            raise  # a defect of ours, not a missing extra
        raise ModelError(
            f"{name} is a folder, which needs {error.name}: pip install 'terralink[train]', or "
            "predict by the model file that 'terralink export' makes of the folder of a run"
        ) from error
    return TorchModel(Path(name), threads=threads)


def _find_file(name: str) -> Path:
    """The file of that name; raises ``ModelError`` when there is none."""
    path = list_models().get(name, Path(name))
    if path.is_file():
        return path
    if path.suffix == ".onnx":
        raise ModelError(f"no model file {name}; 'terralink models' lists the bundled ones")
    raise ModelError(unknown("model", name, list_models()))


def _load_best(path: Path, *, threads: int | None) -> Model:
    if not _has_cuda_package():
        return OpenVino(path, threads=threads)
    model = _load_onnx_runtime(path, threads=threads)
    return model if model.on_cuda else OpenVino(path, threads=threads)


def _has_cuda_package() -> bool:
    """Whether ONNX Runtime's package for CUDA is installed; importing it would take longer."""
    try:
        return bool(metadata.version("onnxruntime-gpu"))
    except metadata.PackageNotFoundError:
        return False


def _load_onnx_runtime(path: Path, *, threads: int | None) -> "OnnxRuntime":
    try:
        from terralink.inference.backends.onnxruntime_backend import OnnxRuntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise ModelError(
            "provider 'onnxruntime' needs a package that the core install leaves out; get it with: "
            "pip install 'terralink[onnxruntime]'"
        ) from error
    return OnnxRuntime(path, threads=threads)
