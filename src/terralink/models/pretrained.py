"""A trained network as a folder without code: model.safetensors and config.json.

    save(network, folder, config)          what the hub of Hugging Face expects to find
    network, config = load(folder)

``config["network"]`` holds the arguments of ``create_model``; what else stands in it is the
caller's.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from terralink.errors import ModelError
from terralink.files import written_whole
from terralink.models.registry import create_model

_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


def save(network: nn.Module, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
    """Write the weights of ``network`` and ``config`` (JSON) into ``folder``."""
    with written_whole(Path(folder) / _WEIGHTS) as part:
        # A network in channels-last memory has views that the format does not know.
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, part)
    with written_whole(Path(folder) / _CONFIG) as part:
        part.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")


def load(folder: str | os.PathLike[str]) -> tuple[nn.Module, dict[str, Any]]:
    """The network with its weights, in evaluation mode, and the whole config.

    Raises ``ModelError`` when the folder is not such a checkpoint, or its weights are of another
    network; the first keys that differ are named.
    """
    config = _config(Path(folder))
    network = create_model(**{**config["network"], "weights": None})
    try:
        state = load_file(Path(folder) / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder}/{_WEIGHTS} cannot be read: {error}") from error
    wanted, came = set(network.state_dict()), set(state)
    if wanted != came:
        differing = ", ".join(sorted(wanted ^ came)[:3])
        raise ModelError(
            f"{folder}/{_WEIGHTS} holds another network than {config['network']['name']!r}: "
            f"{len(wanted ^ came)} tensors differ, the first are {differing}"
        )
    network.load_state_dict(state)
    return network.eval(), config


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} is not a checkpoint: wanted {_WEIGHTS} and {_CONFIG} in it ({error})"
        ) from error
    if not isinstance(config, dict) or "name" not in config.get("network", {}):
        raise ModelError(f"{folder}/{_CONFIG} does not name a network; was it written by 'train'?")
    return config
