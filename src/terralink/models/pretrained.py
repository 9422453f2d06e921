"""A trained network as a folder without code: model.safetensors, config.json and README.md.

    save(network, folder, config)          what the hub of Hugging Face expects to find
    network, config = load(folder)
    network = from_pretrained(folder_or_hub_id)

``config["network"]`` holds the arguments of ``create_model``, ``config["levels"]`` how levels enter
(``normalised.Levels``), ``config["card"]`` what the model file will say of itself; what else stands
in it is the caller's.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import nn

from terralink.atomic_write import write_atomically
from terralink.errors import ModelError
from terralink.models.network import Network
from terralink.models.registry import create_model, describe, source

_WEIGHTS, _CONFIG, _README = "model.safetensors", "config.json", "README.md"


def save(network: nn.Module, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
    """Write the weights of ``network``, ``config`` (JSON) and a card into ``folder``."""
    with write_atomically(Path(folder) / _WEIGHTS) as part:
        # A network in channels-last memory has views that the format does not know.
        tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
        part.write_bytes(serialized(tensors))  # safetensors' own file is for its owner alone
    with write_atomically(Path(folder) / _CONFIG) as part:
        part.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")
    with write_atomically(Path(folder) / _README) as part:
        part.write_text(_card(config), encoding="utf-8")


def load(folder: str | os.PathLike[str]) -> tuple[Network, dict[str, Any]]:
    """The network with its weights, in evaluation mode, and the whole config.

    Raises ``ModelError`` when the folder is not such a checkpoint, or its weights are of another
    network; the first keys that differ are named.
    """
    stored = config(folder)
    network = create_model(**{**stored["network"], "weights": None})
    fill(network, folder)
    return network.eval(), stored


def fill(network: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Give ``network`` the weights that lie in ``folder``.

    Raises ``ModelError`` when they are of another network; the first keys that differ are named.
    """
    path = Path(folder) / _WEIGHTS
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    differing = _differing(network.state_dict(), state)
    if differing:
        raise ModelError(
            f"{path} holds another network than is wanted: {len(differing)} tensors differ, the "
            f"first are {', '.join(differing[:3])}"
        )
    network.load_state_dict(state)


def from_pretrained(folder_or_id: str | os.PathLike[str]) -> Network:
    """The network of a folder, or of a repository on the Hugging Face hub (``owner/name``).

    Raises ``ModelError`` when it is neither, and when the hub cannot be reached.
    """
    if Path(folder_or_id).is_dir():
        return load(folder_or_id)[0]
    return load(_from_hub(os.fspath(folder_or_id)))[0]


def _from_hub(repository: str) -> str:
    try:
        from huggingface_hub import snapshot_download

        return str(snapshot_download(repository, allow_patterns=[_WEIGHTS, _CONFIG]))
    except Exception as error:  # the client raises whatever its transport raises
        raise ModelError(
            f"{repository!r} is no folder here, and cannot be had from the hub "
            f"({type(error).__name__}); give a folder with {_WEIGHTS} and {_CONFIG}, or owner/name"
        ) from error


def _differing(wanted: Mapping[str, Any], came: Mapping[str, Any]) -> list[str]:
    names = sorted(wanted.keys() | came.keys())
    return [
        name
        for name in names
        if name not in wanted or name not in came or wanted[name].shape != came[name].shape
    ]


def config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The config of a checkpoint. Raises ``ModelError`` when the folder is none."""
    path = Path(folder) / _CONFIG
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} is not a checkpoint: wanted {_WEIGHTS} and {_CONFIG} in it ({error})"
        ) from error
    if not isinstance(stored, dict) or "name" not in stored.get("network", {}):
        raise ModelError(f"{path} does not name a network; was it written by 'train'?")
    return stored


def _card(config: Mapping[str, Any]) -> str:
    """README.md, headed as the hub reads it."""
    card, name = config.get("card", {}), config["network"]["name"]
    told = {
        "network": f"{name}: {describe(name)}",
        "paper": source(name),
        "bands": ", ".join(card.get("bands", ())),
        "classes": ", ".join(card.get("classes", ())),
        "pixel size": f"{card['pixel_size_m']} m" if "pixel_size_m" in card else "",
        "licence": card.get("licence", ""),
        "data": card.get("attribution", ""),
    }
    lines = [f"- {key}: {value}" for key, value in told.items() if value]
    return _README_TEXT.format(
        title=card.get("name", name),
        about=card.get("about", describe(name)),
        lines="\n".join(lines),
    )


_README_TEXT = """---
library_name: terralink
pipeline_tag: image-segmentation
---
# {title}
{about}

{lines}

```python
from terralink import models

network = models.from_pretrained("this folder, or its id on the hub")
```
`terralink export FOLDER --out model.onnx` makes a model file that predicts without torch.
"""
