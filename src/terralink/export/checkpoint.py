"""A checkpoint to a model file: of a run, in float or in int8, or of the authors of a paper."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terralink.data.chips import read_image
from terralink.errors import InputError, ModelError
from terralink.export.onnx_file import export_onnx
from terralink.export.quantization import quantize
from terralink.model_card import Metadata
from terralink.models import describe, pretrained
from terralink.models.network import DLINKNET, Normalization, NormalizedNetwork

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_MULTIPLE = 32
_DLINKNET_TILE_PX = 1024  # tile size in the papers of D-LinkNet and PP-LinkNet


def export_checkpoint(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    calibrate: Sequence[str | os.PathLike[str]] = (),
    chips: int = 64,
    licence: str | None = None,
    attribution: str | None = None,
) -> Metadata:
    """Write the checkpoint in ``folder`` as the ONNX file ``out``; returns its metadata.

    ``licence`` and ``attribution`` replace those of the checkpoint.
    With ``calibrate``, folders of images like those that the model will see, the file is quantised
    to int8: ``chips`` of the images, evenly spread, show the range of each activation.
    """
    network, config = pretrained.load(folder)
    if "metadata" not in config:
        raise ModelError(
            f"{folder}/config.json has no metadata; was it written by 'train' or 'import'?"
        )
    overrides = {"licence": licence, "attribution": attribution}
    overrides = {key: text for key, text in overrides.items() if text is not None}
    metadata = Metadata.model_validate({**config["metadata"], **overrides})
    whole = NormalizedNetwork(
        network, in_channels=len(metadata.bands), normalization=Normalization.of(config)
    ).eval()
    if not calibrate:
        export_onnx(whole, out, metadata)
        return metadata
    images = [path for folder in calibrate for path in _find_images(Path(folder))]
    spread = images[:: max(1, len(images) // chips)]
    with tempfile.TemporaryDirectory() as scratch:
        float_file = Path(scratch) / "float.onnx"
        export_onnx(whole, float_file, metadata)
        quantize(float_file, out, metadata, _read_cropped(spread))
    return metadata


def import_published(
    path: str | os.PathLike[str],
    name: str,
    out: str | os.PathLike[str],
    *,
    pixel_size_m: float = 0.5,
    licence: str = "",
) -> Metadata:
    """Read the authors' checkpoint ``path`` of the network ``name``; returns its metadata.

    ``out`` becomes a model file when it ends in .onnx, else a checkpoint folder. Both take RGB
    pixel values of 0 to 255: the authors' band order (blue first) and scale (x / 255 * 3.2 - 1.6)
    are stored with the network.
    Raises ``ModelError`` for a checkpoint of another network and for one that contains code.
    """
    network = pretrained.convert_state_dict(pretrained.read_checkpoint(path), name)
    classes = network.config["num_classes"]
    metadata = Metadata(
        name=Path(path).stem,
        about=describe(name),
        network=name,
        classes=("road",) if classes == 1 else tuple(f"class {k}" for k in range(classes)),
        pixel_size_m=pixel_size_m,
        tile_px=_DLINKNET_TILE_PX,
        licence=licence,
    )
    if Path(out).suffix == ".onnx":
        export_onnx(NormalizedNetwork(network, normalization=DLINKNET), out, metadata)
    else:
        config = {
            "normalization": DLINKNET.as_config(),
            "metadata": metadata.model_dump(mode="json"),
        }
        network.save_pretrained(out, config=config)
    return metadata


def _find_images(folder: Path) -> list[Path]:
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
    if not images:
        raise InputError(f"no images in {folder}; --calibrate takes a folder of images")
    return images


def _read_cropped(paths: Sequence[Path]) -> Iterator[NDArray[np.uint8]]:
    """The largest upper left part of each image with sides that are multiples of 32."""
    for path in paths:
        image = read_image(path, "RGB").transpose(2, 0, 1)
        height, width = (side // _MULTIPLE * _MULTIPLE for side in image.shape[1:])
        if height and width:
            yield np.ascontiguousarray(image[:, :height, :width])
