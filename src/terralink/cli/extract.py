"""``terralink extract``: scenes to maps of their roads."""

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options


class What(StrEnum):
    """What can be extracted."""

    ROADS = "roads"


def run(
    scenes: options.Scenes,
    what: Annotated[What, typer.Option(help="What to extract.")] = What.ROADS,
    model: options.Model = "roads",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("maps"),
    pixel_size_m: options.PixelSize = None,
    bands: options.Bands = None,
    stretch: options.Stretched = options.StretchBy.AUTO,
    threshold: options.Threshold = None,
    tta: options.Tta = False,
    as_json: options.AsJson = False,
) -> None:
    """Extract the roads of scenes as maps you can route on.

    The result is, for each SCENE, a GeoPackage DIR/SCENE.gpkg with the layers 'roads' (lines with
    length and width in metres) and 'junctions', styled for QGIS, and beside it the probability of
    road as a GeoTIFF, DIR/SCENE.prob.tif.
    """
