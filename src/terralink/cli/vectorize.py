"""``terralink vectorize``: a raster of probabilities or classes to a map."""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options
from terralink.errors import InputError
from terralink.map_kind import MapKind, class_bands

if TYPE_CHECKING:
    from terralink.vectorize import Map, MapOptions

    Update = Callable[[float], None]


def run_vectorize(
    prob: Annotated[
        Path,
        typer.Argument(
            help="A raster of probabilities, 0..1 or uint8 0..255, or a mask; for land cover a "
            "band for each class, or one band of classes.",
            show_default=False,
        ),
    ],
    what: Annotated[MapKind, typer.Option(help="What map to make.")] = MapKind.ROADS,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The file to write: .gpkg, .geojson or .parquet.",
            show_default="roads.gpkg and so on",
        ),
    ] = None,
    threshold: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Probability from which a pixel is road or building."),
    ] = 0.5,
    min_spur_m: Annotated[
        float,
        typer.Option("--min-spur-m", min=0.0, help="Roads: shorter dead ends are dropped."),
    ] = 15.0,
    max_gap_m: Annotated[
        float,
        typer.Option("--max-gap-m", min=0.0, help="Roads: gaps up to this length are bridged."),
    ] = 30.0,
    min_area_m2: Annotated[
        float | None,
        typer.Option(
            "--min-area-m2",
            min=0.0,
            help="Smaller buildings are dropped, and smaller regions go to a neighbour.",
            show_default="10 for buildings, 100 for land cover",
        ),
    ] = None,
    regularize: Annotated[
        bool,
        typer.Option(
            help="Buildings: give them straight walls and right angles where these fit; without, "
            "outlines are only simplified."
        ),
    ] = True,
    min_probability: options.MinProbability = None,
    crs: options.Crs = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Turn a raster of probabilities or classes into a map.

    The result is a GeoPackage, styled for QGIS: of roads the layers 'roads' (lines with length and
    width in metres) and 'junctions'; of buildings the layer 'buildings' (polygons with area_m2 and
    prob); of classes, or of the largest of several probabilities, the layer 'landcover' (polygons
    with class, name and area_m2 that share their edges). Or a GeoJSON file of the first of these
    layers in longitude and latitude, or a GeoParquet file of it (extra 'parquet').
    """
    started = perf_counter()
    out = Path(f"{what.value}.gpkg") if out is None else out
    options.check_outputs([out], scenes=[prob], overwrite=overwrite)
    from terralink import vectorize

    map_options = vectorize.options_for(
        what,
        threshold=threshold,
        min_spur_m=min_spur_m,
        max_gap_m=max_gap_m,
        min_area_m2=min_area_m2,
        right_angles=regularize,
        min_probability=min_probability,
    )
    with console.show_progress(prob.name) as update:
        found = _vectorize(prob, map_options, update, crs=crs)
        vectorize.write_map(out, found, what)
    record = {
        "prob": str(prob),
        **console.map_record(found, what),
        "seconds": perf_counter() - started,
        "written": [str(out)],
    }
    console.show(record, as_json=as_json, lines=console.map_table(record))


def _vectorize(path: Path, how: "MapOptions", update: "Update", *, crs: str | None) -> "Map":
    """The map of a raster: of classes as they are, or of probabilities in bands of rows."""
    from terralink import vectorize
    from terralink.raster import read_raster
    from terralink.raster.source import open_source

    with open_source(path, expand_palette=False, assumed_crs=crs) as source:
        classes, values = source.class_names, source.value_names
        of_classes = len(source.bands) == 1 and source.scale is None and classes is None
    if isinstance(how, vectorize.LandcoverOptions) and of_classes:
        table = vectorize.trace_landcover(read_raster(path, crs=crs), how)
        return vectorize.add_class_names(table, values)
    if values and not isinstance(how, vectorize.LandcoverOptions):
        _check_values(how.kind, values, path)
    tracer = vectorize.MapTracer(how, classes, source=str(path))
    least = how.effective_threshold
    if isinstance(how, vectorize.LandcoverOptions) and how.min_probability is not None:
        least = how.min_probability
    for band in vectorize.read_probabilities(path, threshold=least, crs=crs, progress=update):
        tracer.add(band)
    return tracer.finish()


def _check_values(kind: MapKind, names: Mapping[int, str], path: Path) -> None:
    """Raise ``InputError`` unless the one class of a label is what the map is to be of."""
    class_bands(kind, list(names.values()), source=str(path))
    if len(names) > 1:
        told = ", ".join(f"{value} is {name}" for value, name in names.items())
        raise InputError(
            f"{path} is a raster of classes ({told}); make land cover of it (--what landcover), or "
            f"a mask of one class: gdal_calc.py -A {path} --calc 'A=={min(names)}' --outfile MASK"
        )
