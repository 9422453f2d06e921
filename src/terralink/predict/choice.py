"""Which model file, and who computes it."""

import os
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING

from terralink.errors import ModelError, unknown
from terralink.predict.model import Model
from terralink.predict.open_vino import OpenVino

if TYPE_CHECKING:
    from terralink.predict.onnx_runtime import OnnxRuntime


def shipped() -> dict[str, Path]:
    """Names and files of the models in the package."""
    folder = Path(str(resources.files("terralink") / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.onnx"))}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    provider: str | None = None,
    threads: int | None = None,
) -> Model:
    """A shipped model by its name, or any model file that terralink exported.

    ``provider`` is "openvino" or "onnxruntime"; None takes ONNX Runtime where its package for
    CUDA is installed and finds a card, else OpenVINO. ``threads`` bounds the CPU cores that
    inference takes; None takes all.
    Raises ``ModelError`` when there is no such model or provider, or the file is not a model.
    """
    path = _found(os.fspath(name_or_path))
    made: dict[str | None, Callable[..., Model]] = {
        None: _best,
        OpenVino.chosen_as: OpenVino,
        "onnxruntime": _onnx_runtime,
    }
    if provider not in made:
        raise ModelError(unknown("provider of model files", str(provider), filter(None, made)))
    return made[provider](path, threads=threads)


def _found(name: str) -> Path:
    """The file of that name; raises ``ModelError`` when there is none."""
    path = shipped().get(name, Path(name))
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(
            f"{name} is a folder, and a model file is wanted: 'terralink export' makes one of the "
            "folder of a run, or terralink.providers.load predicts by that as it is"
        )
    if path.suffix == ".onnx":
        raise ModelError(f"no model file {name}; 'terralink models' lists those that are shipped")
    raise ModelError(unknown("model", name, shipped()))


def _best(path: Path, *, threads: int | None) -> Model:
    if not _has_cuda_package():
        return OpenVino(path, threads=threads)
    model = _onnx_runtime(path, threads=threads)
    return model if model.on_cuda else OpenVino(path, threads=threads)


def _has_cuda_package() -> bool:
    """Whether ONNX Runtime's package for CUDA is here; to import it would cost more than to ask."""
    try:
        return bool(metadata.version("onnxruntime-gpu"))
    except metadata.PackageNotFoundError:
        return False


def _onnx_runtime(path: Path, *, threads: int | None) -> "OnnxRuntime":
    try:
        from terralink.predict.onnx_runtime import OnnxRuntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise ModelError(
            "provider 'onnxruntime' needs a package that the core install leaves out; get it with: "
            "pip install 'terralink[onnxruntime]'"
        ) from error
    return OnnxRuntime(path, threads=threads)
