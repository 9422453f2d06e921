"""``terralink vectorize``: a probability raster to a road map."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options

if TYPE_CHECKING:
    from terralink.geo import Raster

_ROWS = 1024


def run(
    prob: Annotated[
        Path,
        typer.Argument(help="A raster of probabilities, 0..1 or uint8 0..255.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write: .gpkg or .geojson.")
    ] = Path("roads.gpkg"),
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Probability from which a pixel is road.")
    ] = 0.5,
    min_spur_m: Annotated[
        float,
        typer.Option("--min-spur-m", min=0.0, help="Shorter dead ends are noise, and dropped."),
    ] = 15.0,
    max_gap_m: Annotated[
        float, typer.Option("--max-gap-m", min=0.0, help="Gaps up to this length are bridged.")
    ] = 30.0,
    as_json: options.AsJson = False,
) -> None:
    """Trace a probability raster to a graph of roads.

    The result is a GeoPackage with the layers 'roads' (lines with length and width in metres) and
    'junctions', styled for QGIS, or a GeoJSON file of the roads in longitude and latitude.
    """
    from terralink import vectorize

    started = perf_counter()
    tracer = vectorize.RoadTracer(threshold=threshold, min_spur_m=min_spur_m, max_gap_m=max_gap_m)
    with console.progress(prob.name) as update:
        for band in _bands(prob, update):
            tracer.add(band)
    roads = tracer.finish()
    roads.to_file(out)
    record = {
        "prob": str(prob),
        **console.of_roads(roads),
        "seconds": perf_counter() - started,
        "written": [str(out)],
    }
    console.show(record, as_json=as_json, lines=console.roads_lines(record))


def _bands(path: Path, update: Callable[[float], None]) -> "Iterator[Raster]":
    """The raster in whole-width bands of rows, its levels as they are stored."""
    from terralink.geo import Raster
    from terralink.geo.source import opened

    with opened(path, expand_palette=False) as source:
        height, width = source.grid.shape
        for row in range(0, height, _ROWS):
            stop = min(row + _ROWS, height)
            image, valid = source.read((row, stop), (0, width))
            yield Raster(image, source.grid.window(row, 0, (stop - row, width)), valid)
            update(stop / height)
