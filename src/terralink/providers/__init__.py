"""Who computes a model, by what the model is:

    a model file          ONNX Runtime on CUDA where its package for that is installed and finds a
    or a shipped name     card, else OpenVINO on the CPU; or which of the two is told
    the folder of a run   torch, on CUDA where there is a card, else on the CPU

Only a folder needs torch (the extra ``train``). It has a floor of its own because ``predict``,
where model files are computed, never imports torch.
"""

import os
from pathlib import Path

from terralink import predict
from terralink.errors import ModelError

_TORCH = "torch"


def load(
    name_or_path: str | os.PathLike[str],
    *,
    provider: str | None = None,
    threads: int | None = None,
) -> predict.Model:
    """A shipped model by its name, a model file, or the folder of a run that 'train' made.

    ``provider`` is "openvino", "onnxruntime" or "torch"; None takes the best that is here.
    ``threads`` bounds the CPU cores that inference takes; None takes all.
    Raises ``ModelError`` when there is no such model, when that provider does not take it, or is
    not installed.
    """
    name = os.fspath(name_or_path)
    if name not in predict.shipped() and Path(name).is_dir():
        return _of_folder(name, provider, threads)
    if provider == _TORCH:
        raise ModelError(
            f"torch computes the folder of a run, and {name} is none; model files are for openvino "
            "and onnxruntime"
        )
    return predict.load(name, provider=provider, threads=threads)


def _of_folder(name: str, provider: str | None, threads: int | None) -> predict.Model:
    if provider not in (None, _TORCH):
        raise ModelError(
            f"{name} is a folder, which torch computes; 'terralink export' makes a model file of "
            f"the folder of a run for provider {provider!r}"
        )
    try:
        from terralink.providers.trained import Trained
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("terralink"):
            raise  # ours: a defect, not a missing extra
        raise ModelError(
            f"{name} is a folder, which needs {error.name}: pip install 'terralink[train]', or "
            "predict by the model file that 'terralink export' makes of the folder of a run"
        ) from error
    return Trained(Path(name), threads=threads)
