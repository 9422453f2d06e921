"""A submission to EPFL's road challenge as a prediction: its patches as masks beside the truth."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terralink.data.chips import files, read_image
from terralink.errors import InputError
from terralink.metrics import numbered_images, read_submission, write_mask
from terralink.metrics.submission import PATCH_PX


@contextmanager
def unpacked(pred: Path, *, truth: Path) -> Iterator[Path]:
    """The prediction as files that can be paired with ``truth``: itself, unless it is a CSV.

    Of a CSV each image with a number that is among the truth's becomes a mask of that name and
    size, in a folder that goes when the block ends. Raises ``InputError`` where the CSV has none,
    has others, or has patches of another size of image.
    """
    if pred.suffix.lower() != ".csv":
        yield pred
        return
    masks, wanted = read_submission(pred), numbered_images(files(truth))
    strange = [number for number in masks if number not in wanted]
    if strange:
        raise InputError(
            f"{pred} has {len(strange)} images that {truth} has not, the first is "
            f"{strange[0]:03d}; wanted the truth of each"
        )
    with tempfile.TemporaryDirectory() as folder:
        for number, mask in masks.items():
            path = wanted[number]
            height, width = read_image(path).shape[:2]
            if mask.shape != tuple(-(-side // PATCH_PX) * PATCH_PX for side in (height, width)):
                raise InputError(
                    f"{pred}: image {number:03d} is {mask.shape[1]} x {mask.shape[0]} px, "
                    f"its truth {path} {width} x {height} px"
                )
            write_mask(Path(folder, f"{path.stem}.png"), mask[:height, :width])
        yield Path(folder)
