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
            help="A raster of probabilities (0 to 1, or uint8 0 to 255) or a mask; for land cover "
            "one band for each class, or one band of classes.",
            show_default=False,
        ),
    ],
    what: Annotated[MapKind, typer.Option(help="The kind of map.")] = MapKind.ROADS,
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
        typer.Option(
            min=0.0, max=1.0, help="Pixels with this probability or more are road or building."
        ),
    ] = 0.5,
    min_spur_m: Annotated[
        float,
        typer.Option("--min-spur-m", min=0.0, help="Roads: remove shorter dead ends."),
    ] = 15.0,
    max_gap_m: Annotated[
        float,
        typer.Option("--max-gap-m", min=0.0, help="Roads: bridge gaps up to this length."),
    ] = 30.0,
    min_area_m2: Annotated[
        float | None,
        typer.Option(
            "--min-area-m2",
            min=0.0,
            help="Remove smaller buildings; merge smaller land cover regions into a neighbour.",
            show_default="10 for buildings, 100 for land cover",
        ),
    ] = None,
    regularize: Annotated[
        bool,
        typer.Option(
            help="Buildings: make walls straight and corners right-angled where this fits, or only "
            "simplify outlines."
        ),
    ] = True,
    min_probability: options.MinProbability = None,
    crs: options.Crs = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Turn a raster of probabilities or classes into a map.

    The result is a GeoPackage with styles for QGIS. Roads: the layers 'roads' (lines with length
    and width in metres) and 'junctions'. Buildings: the layer 'buildings' (polygons with area_m2
    and prob). Land cover: the layer 'landcover' (polygons with class, name and area_m2 that share
    their edges). A .geojson file has the first of these layers in longitude and latitude, a
    .parquet file too (extra 'parquet').
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
    """Raise ``InputError`` unless the single class of a label is of this kind of map."""
    class_bands(kind, list(names.values()), source=str(path))
    if len(names) > 1:
        values = ", ".join(f"{value} is {name}" for value, name in names.items())
        raise InputError(
            f"{path} is a raster of classes ({values}); use --what landcover, or "
            f"a mask of one class: gdal_calc.py -A {path} --calc 'A=={min(names)}' --outfile MASK"
        )
