"""Trained networks: checkpoint folders, and the checkpoint files of the papers' authors.

    network.save_pretrained(folder)        model.safetensors, config.json, README.md: no code
    network, config = load(folder)
    network = from_pretrained(folder_or_hub_id)

``config["network"]`` holds the arguments of ``create_model``, ``config["normalization"]`` the
``Normalization`` of pixel values, ``config["metadata"]`` the metadata of its model file (version
0.1 wrote them as "levels" and "card"); other keys are the caller's.

``convert_state_dict(state, name)`` creates the network ``name`` with the weights of its authors. It
serves D-LinkNet's repository (dlinknet34, dlinknet50, dlinknet101, linknet34, unet7, dunet) and
PP-LinkNet's (pplinknet34_psp, pplinknet34_psp64). Their normalisation is ``network.DLINKNET``.
"""

import json
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from terralink.errors import ModelError, unknown
from terralink.models.network import CONFIG_FILE, WEIGHTS_FILE, Network, create_model

_OLD_KEYS = {"levels": "normalization", "card": "metadata"}  # of version 0.1

PUBLISHED = (
    "dlinknet34",
    "dlinknet50",
    "dlinknet101",
    "linknet34",
    "unet7",
    "dunet",
    "pplinknet34_psp",
    "pplinknet34_psp64",
)

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

# A pattern in a key of theirs, and its replacement in ours.
_RULES: tuple[Rule, ...] = (
    # ResNet encoder
    (r"^first(conv|bn)\.", r"encoder.pyramid.\g<1>1."),
    (r"^encoder(\d)\.", r"encoder.pyramid.layer\1."),
    # bridges
    (r"^dblock\.dilate(\d)\.", lambda m: f"bridge.steps.{int(m[1]) - 1}.0."),
    (r"^dblock\.stages\.(\d)\.1\.", r"bridge.narrow.\1."),
    (r"^dblock\.bottleneck\.", "bridge.join."),
    # decoder 4 is the first to run; each has (conv1, norm1), (deconv2, norm2), (conv3, norm3)
    (
        r"^decoder(\d)\.(de)?(conv|norm)(\d)\.",
        lambda m: f"decoder.{4 - int(m[1])}.{int(m[4]) - 1}.{int(m[3] == 'norm')}.",
    ),
    (r"^final(?:de)?conv(\d)\.", lambda m: f"head.{2 * (int(m[1]) - 1)}."),
    # U-Nets
    (r"^down(\d)\.", lambda m: f"stages.{int(m[1]) - 1}."),
    (r"^conv(\d)\.", lambda m: f"stages.{(int(m[1]) - 1) // 2}.{(int(m[1]) - 1) % 2 * 2}."),
    (r"^center\.", "centre."),
    (r"^dilate_center\.dilate(\d)\.", lambda m: f"centre.steps.{int(m[1]) - 1}.0."),
    (r"^trans(\d)\.", lambda m: f"ups.{int(m[1]) - 1}."),
    (r"^up(\d)\.", lambda m: f"merges.{int(m[1]) - 1}."),
    (r"^conv_last\.0\.", "head."),
)


def load(folder: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """The network with its weights, in evaluation mode, and the whole config.

    Raises ``ModelError`` when the folder is not such a checkpoint, or its weights are of another
    network; the first keys that differ are named.
    """
    config = read_config(folder)
    network = create_model(**{**config["network"], "weights": None})
    load_weights(network, folder)
    return network.eval(), config


def load_weights(network: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Load the weights in ``folder`` into ``network``.

    Raises ``ModelError`` when they are of another network; the first keys that differ are named.
    """
    path = Path(folder) / WEIGHTS_FILE
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    different = _different_tensors(network.state_dict(), state)
    if different:
        raise ModelError(
            f"{path} is of another network: {len(different)} tensors differ, the "
            f"first are {', '.join(different[:3])}"
        )
    network.load_state_dict(state)


def from_pretrained(folder_or_id: str | os.PathLike[str]) -> Network:
    """The network of a folder, or of a repository on the Hugging Face hub (``owner/name``).

    Raises ``ModelError`` when it is neither, and when the hub cannot be reached.
    """
    if Path(folder_or_id).is_dir():
        return load(folder_or_id)[0]
    return load(_download(os.fspath(folder_or_id)))[0]


def _download(repository: str) -> str:
    try:
        from huggingface_hub import snapshot_download

        return str(snapshot_download(repository, allow_patterns=[WEIGHTS_FILE, CONFIG_FILE]))
    except Exception as error:  # the client raises whatever its transport raises
        raise ModelError(
            f"{repository!r} is no folder, and cannot be downloaded from the hub "
            f"({type(error).__name__}); give a folder with {WEIGHTS_FILE} and {CONFIG_FILE}, "
            "or owner/name"
        ) from error


def _different_tensors(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    names = sorted(ours.keys() | theirs.keys())
    return [
        name
        for name in names
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape
    ]


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The config of a checkpoint, with keys of 0.1 renamed.

    Raises ``ModelError`` when the folder is no checkpoint.
    """
    path = Path(folder) / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} is not a checkpoint: expected {WEIGHTS_FILE} and {CONFIG_FILE} in it "
            f"({error})"
        ) from error
    if not isinstance(config, dict) or "name" not in config.get("network", {}):
        raise ModelError(f"{path} does not name a network; was it written by 'train'?")
    return {_OLD_KEYS.get(str(key), str(key)): value for key, value in config.items()}


def rename_key(key: str) -> str:
    """Our name for the authors'.

    >>> rename_key("module.decoder4.deconv2.weight")
    'decoder.0.1.0.weight'
    """
    bare = key.removeprefix("module.")  # behind DataParallel
    for pattern, replacement in _RULES:
        ours, count = re.subn(pattern, replacement, bare)
        if count:
            return ours
    return bare


def convert_state_dict(state: Mapping[str, Tensor], name: str) -> Network:
    """The network ``name`` with the weights of the authors' ``state``, in evaluation mode.

    Raises ``ModelError`` when ``name`` was not published, or the weights are of another network:
    it names the first keys of ours that are missing and of theirs that do not fit.
    """
    if name not in PUBLISHED:
        raise ModelError(unknown("published network", name, PUBLISHED))
    renamed = {rename_key(key): (key, value) for key, value in state.items()}
    network = create_model(name, num_classes=_count_classes(renamed))
    ours = network.state_dict()
    # Checkpoints from before PyTorch 0.4.1 do not count batches.
    missing = [key for key in ours if key not in renamed and "num_batches_tracked" not in key]
    unexpected = [
        _describe_tensor(key, value, ours.get(name))
        for name, (key, value) in renamed.items()
        if name not in ours or value.shape != ours[name].shape
    ]
    if missing or unexpected:
        raise ModelError(
            f"the weights are not of {name!r}: it needs {_summarize(missing)} that are missing, "
            f"and they have {_summarize(unexpected)} that do not fit"
        )
    network.load_state_dict(ours | {name: value for name, (_, value) in renamed.items()})
    return network.eval()


def _count_classes(renamed: Mapping[str, tuple[str, Tensor]]) -> int:
    """The number of classes of the last convolution; 1 where there is none."""
    for last in ("head.4.bias", "head.bias"):
        if last in renamed:
            return len(renamed[last][1])
    return 1


def _describe_tensor(key: str, theirs: Tensor, ours: Tensor | None) -> str:
    shape = "x".join(map(str, theirs.shape))
    return key if ours is None else f"{key} (of {shape})"


def _summarize(keys: list[str]) -> str:
    """The number of tensors, and the names of the first three."""
    more = ", ..." if len(keys) > 3 else ""
    return f"{len(keys)} tensors ({', '.join(keys[:3])}{more})" if keys else "none"


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, without running any code that it may hold.

    Raises ``ModelError`` for a file that is none, and for one with more in it than tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are rejected below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"no checkpoint {path}") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it is not a plain checkpoint, or it contains code; "
            "ask for the weights alone (a state dict)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise ModelError(f"{path} is not a checkpoint that can be read") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} contains more than the tensors of a network; give its state dict")
    return state
