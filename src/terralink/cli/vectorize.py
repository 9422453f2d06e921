"""``terralink vectorize``: a probability raster to a road map."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    prob: Annotated[Path, typer.Argument(help="A raster of probabilities: 0..1, or uint8 0..255.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write: .gpkg or .geojson.")
    ] = Path("roads.gpkg"),
    threshold: options.Threshold = None,
    min_spur_m: Annotated[
        float, typer.Option(min=0.0, help="Dead ends shorter than this are skeleton noise.")
    ] = 15.0,
    max_gap_m: Annotated[
        float, typer.Option(min=0.0, help="Gaps up to this long between two ends are bridged.")
    ] = 30.0,
    as_json: options.AsJson = False,
) -> None:
    """Trace a probability raster to a graph of roads.

    The result is a GeoPackage with the layers 'roads' and 'junctions', styled for QGIS, or a
    GeoJSON file of the roads in longitude and latitude.
    """
