"""``terralink vectorize``: a raster of probabilities or classes to a map."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options

if TYPE_CHECKING:
    import geopandas as gpd

    Update = Callable[[float], None]


class What(StrEnum):
    """What a raster shows."""

    ROADS = "roads"
    BUILDINGS = "buildings"
    LANDCOVER = "landcover"


def run(
    prob: Annotated[
        Path,
        typer.Argument(
            help="A raster of probabilities, 0..1 or uint8 0..255, or a mask; of classes for land "
            "cover.",
            show_default=False,
        ),
    ],
    what: Annotated[What, typer.Option(help="What the raster shows.")] = What.ROADS,
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
    as_json: options.AsJson = False,
) -> None:
    """Turn a raster of probabilities or classes into a map.

    The result is a GeoPackage, styled for QGIS: of roads the layers 'roads' (lines with length and
    width in metres) and 'junctions'; of buildings the layer 'buildings' (polygons with area_m2 and
    prob); of classes the layer 'landcover' (polygons with class and area_m2 that share their
    edges). Or a GeoJSON file of the first of these layers in longitude and latitude, or a
    GeoParquet file of it (extra 'parquet').
    """
    started = perf_counter()
    out = Path(f"{what.value}.gpkg") if out is None else out
    with console.progress(prob.name) as update:
        if what is What.ROADS:
            found = _roads(prob, out, threshold, min_spur_m, max_gap_m, update)
        elif what is What.BUILDINGS:
            found = _buildings(prob, out, threshold, min_area_m2, regularize, update)
        else:
            found = _landcover(prob, out, min_area_m2)
    seconds = perf_counter() - started
    record = {"prob": str(prob), **found, "seconds": seconds, "written": [str(out)]}
    lines = console.roads_lines if what is What.ROADS else _areas_lines
    console.show(record, as_json=as_json, lines=lines(record))


def _roads(
    prob: Path,
    out: Path,
    threshold: float,
    min_spur_m: float,
    max_gap_m: float,
    update: "Update",
) -> console.Record:
    from terralink import vectorize

    tracer = vectorize.RoadTracer(threshold=threshold, min_spur_m=min_spur_m, max_gap_m=max_gap_m)
    for band in vectorize.read_bands(prob, threshold=threshold, progress=update):
        tracer.add(band)
    roads = tracer.finish()
    roads.to_file(out)
    return console.of_roads(roads)


def _buildings(
    prob: Path,
    out: Path,
    threshold: float,
    min_area_m2: float | None,
    regularize: bool,
    update: "Update",
) -> console.Record:
    from terralink import vectorize

    tracer = vectorize.BuildingTracer(
        threshold=threshold, min_area_m2=_or(min_area_m2, 10), right_angles=regularize
    )
    for band in vectorize.read_bands(prob, threshold=threshold, progress=update):
        tracer.add(band)
    table = tracer.finish()
    vectorize.write_buildings(out, table)
    return {"buildings": len(table), "area_m2": float(table.area_m2.sum()), "crs": _told(table)}


def _landcover(classes: Path, out: Path, min_area_m2: float | None) -> console.Record:
    from terralink import vectorize
    from terralink.geo import Raster
    from terralink.geo.source import opened

    with opened(classes, expand_palette=False) as source:
        height, width = source.grid.shape
        image, valid = source.read((0, height), (0, width))
        raster = Raster(image, source.grid, valid)
    table = vectorize.regions(raster, min_area_m2=_or(min_area_m2, 100))
    vectorize.write_regions(out, table)
    area_m2 = table.groupby("class").area_m2.sum()
    by_class = {str(number): float(area) for number, area in area_m2.items()}
    return {"regions": len(table), "class_area_m2": by_class, "crs": _told(table)}


def _or(wanted: float | None, usual: float) -> float:
    return usual if wanted is None else wanted


def _told(table: "gpd.GeoDataFrame") -> str | None:
    return table.crs.to_string() if table.crs else None


def _areas_lines(record: console.Record) -> list[tuple[str, object]]:
    """The table of a record of buildings or regions."""
    by_class = record.get("class_area_m2", {})
    counted: list[tuple[str, object]] = (
        [("regions", f"{record['regions']:,}")]
        if "regions" in record
        else [("buildings", f"{record['buildings']:,}, {record['area_m2']:,.0f} m2")]
    )
    return [
        *counted,
        *((f"class {number}", f"{area:,.0f} m2") for number, area in by_class.items()),
        ("CRS", record["crs"] or "none"),
        ("took", console.duration(record["seconds"])),
        ("written", ", ".join(record["written"])),
    ]
