"""The four-corner way of the EPFL road papers: small images, shrunk, seen by their corners.

Networks there are trained on images of 400 px that are shrunk to 384, a multiple of 32. A test
image of 608 px is shrunk alike, to 583 px; the four patches of 384 px in its corners cover it, what
they see is averaged where they overlap, and brought back to 608 px.
"""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from terralink.errors import InputError
from terralink.inference.backends.openvino_graph import LEVELS
from terralink.inference.model import Predictor
from terralink.inference.scene import predicted


def corners(
    model: Predictor,
    image: NDArray[np.uint8],
    *,
    trained_px: int = 400,
    patch_px: int = 384,
    tta: bool = False,
) -> NDArray[np.float32]:
    """Probabilities (classes, row, col) of a whole image uint8 (bands, row, col) of the same size.

    The image is shrunk as ``trained_px`` is to ``patch_px``, parts of pixels dropped. Raises
    ``InputError`` when four patches do not cover what comes of it, or one is larger.
    """
    height, width = (side * patch_px // trained_px for side in image.shape[1:])
    if not all(patch_px <= side <= 2 * patch_px for side in (height, width)):
        raise InputError(
            f"four corners of {patch_px} px cover images of {trained_px} to {2 * trained_px} px; "
            f"one of {image.shape[1]} x {image.shape[2]} px came: predict it as a scene"
        )
    small = np.rint(_resized(image, (height, width))).astype(np.uint8)
    places = [
        np.s_[:, row : row + patch_px, col : col + patch_px]
        for row, col in product((0, height - patch_px), (0, width - patch_px))
    ]
    total = np.zeros((len(model.metadata.classes), height, width), np.float32)
    times = np.zeros((1, height, width), np.float32)
    patches = (np.ascontiguousarray(small[place]) for place in places)
    for place, levels in zip(places, predicted(model, patches, tta=tta), strict=True):
        total[place] += levels
        times[place] += 1
    return _resized(total / (LEVELS * times), image.shape[1:])


def _resized(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Bilinear, the pixels' centres over one another."""
    floats = image.astype(np.float32)
    if shape == image.shape[1:]:
        return floats
    whole = (len(image), *shape)
    return np.asarray(resize(floats, whole, order=1, mode="edge"))  # type: ignore[no-untyped-call]
