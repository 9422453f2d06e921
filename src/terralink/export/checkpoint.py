"""A checkpoint folder to a model file, in float or in int8."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import read_image
from terralink.errors import InputError, ModelError
from terralink.export.onnx import export
from terralink.export.quantize import quantize
from terralink.model_card import Metadata
from terralink.models import pretrained
from terralink.models.normalised import Levels, Normalised

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_MULTIPLE = 32


def export_checkpoint(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    calibrate: Sequence[str | os.PathLike[str]] = (),
    chips: int = 64,
    licence: str | None = None,
    attribution: str | None = None,
) -> Metadata:
    """Write the checkpoint in ``folder`` as the ONNX file ``out``; its card.

    ``licence`` and ``attribution`` stand in the card in place of those of the run's recipe.
    With ``calibrate``, folders of images as the model will meet them, the file is quantised to
    int8: ``chips`` of the images, spread evenly, show which range each activation takes.
    """
    network, config = pretrained.load(folder)
    if "card" not in config:
        raise ModelError(
            f"{folder}/config.json has no card; was it written by 'train' or 'import'?"
        )
    stated = {"licence": licence, "attribution": attribution}
    terms = {key: text for key, text in stated.items() if text is not None}
    card = Metadata.model_validate({**config["card"], **terms})
    levels = Levels.of(config)
    whole = Normalised(network, in_channels=len(card.bands), levels=levels).eval()
    if not calibrate:
        export(whole, out, card)
        return card
    images = [path for folder in calibrate for path in _pictures(Path(folder))]
    spread = images[:: max(1, len(images) // chips)]
    with tempfile.TemporaryDirectory() as scratch:
        in_float = Path(scratch) / "float.onnx"
        export(whole, in_float, card)
        quantize(in_float, out, card, _cut(spread))
    return card


def _pictures(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _PICTURES)
    if not found:
        raise InputError(f"no pictures in {folder}; --calibrate wants a folder of images")
    return found


def _cut(images: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """The largest upper left part of each image whose sides are multiples of 32."""
    for path in images:
        image = read_image(path, "RGB").transpose(2, 0, 1)
        height, width = (side // _MULTIPLE * _MULTIPLE for side in image.shape[1:])
        if height and width:
            yield np.ascontiguousarray(image[:, :height, :width])
