"""An authors' checkpoint as a checkpoint folder or a model file, with its input baked in."""

import os
from pathlib import Path

from terralink.export.onnx import export
from terralink.model_card import Metadata
from terralink.models import describe, published
from terralink.models.normalised import DLINKNET, Normalised

_TILE_PX = 1024  # what D-LinkNet and PP-LinkNet were trained and tested on


def import_published(
    path: str | os.PathLike[str],
    name: str,
    out: str | os.PathLike[str],
    *,
    pixel_size_m: float = 0.5,
    licence: str = "",
) -> Metadata:
    """Read the checkpoint ``path`` of the network ``name``; its card.

    ``out`` becomes a model file when it ends in .onnx, else a checkpoint folder. Either takes raw
    RGB levels: the authors' order (blue first) and scale (x / 255 * 3.2 - 1.6) go with it.
    Raises ``ModelError`` for a checkpoint of another network and for one that holds code.
    """
    network = published.load_state_dict(published.read(path), name)
    classes = network.config["num_classes"]
    card = Metadata(
        name=Path(path).stem,
        about=describe(name),
        network=name,
        classes=("road",) if classes == 1 else tuple(f"class {k}" for k in range(classes)),
        pixel_size_m=pixel_size_m,
        tile_px=_TILE_PX,
        licence=licence,
    )
    if Path(out).suffix == ".onnx":
        export(Normalised(network, levels=DLINKNET), out, card)
    else:
        told = {"levels": DLINKNET.as_config(), "card": card.model_dump(mode="json")}
        network.save_pretrained(out, config=told)
    return card
