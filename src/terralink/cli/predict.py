"""``terralink predict``: a scene to the probability of road in each pixel."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    scene: options.Scene,
    model: options.Model = "roads",
    out: Annotated[Path, typer.Option(metavar="TIF", help="The file to write.")] = Path("prob.tif"),
    pixel_size_m: options.PixelSize = None,
    bands: options.Bands = None,
    stretch: options.Stretched = options.StretchBy.AUTO,
    tta: options.Tta = False,
    as_json: options.AsJson = False,
) -> None:
    """Predict the probability of road in each pixel of a scene.

    The result is a GeoTIFF at the model's pixel size: uint8 with a scale of 1/255, masked where the
    scene has no data. 'terralink vectorize' makes a road map of it.
    """
