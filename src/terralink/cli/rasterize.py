"""``terralink rasterize``: roads and buildings of OpenStreetMap to labels of scenes."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from terralink.cli import console, options
from terralink.errors import InputError

if TYPE_CHECKING:
    from terralink.raster import Grid
    from terralink.vector.labels import LabelClass
    from terralink.vector.osm import OsmTables

    # What is drawn on a grid
    Drawn: TypeAlias = Callable[[Grid], Sequence[LabelClass]]

_SCENES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".webp", ".jp2", ".vrt")


class What(StrEnum):
    """What is drawn."""

    ROADS = "roads"
    BUILDINGS = "buildings"
    BOTH = "both"

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order they are drawn: a roof lies over the road."""
        road, building = ("road",), ("building",)
        return {"roads": road, "buildings": building, "both": road + building}[self.value]


def run_rasterize(
    like: Annotated[
        list[Path],
        typer.Option(
            metavar="SCENE",
            help="A scene to draw for, or a folder of scenes; may be repeated.",
            show_default=False,
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="OSM...",
            help="Roads and buildings: .osm, .osm.pbf, GeoJSON, GeoParquet or other vector files.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[What, typer.Option(help="What to draw.")] = What.ROADS,
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="A .tif for one scene, or a folder.")
    ] = Path("labels"),
    values: Annotated[
        str | None,
        typer.Option(metavar="1,2", help="The value of each class.", show_default="counted from 1"),
    ] = None,
    width_m: Annotated[
        float | None,
        typer.Option(
            "--width-m", min=0.1, help="One width for all roads.", show_default="by their tags"
        ),
    ] = None,
    lane_m: Annotated[float, typer.Option("--lane-m", min=0.1, help="Width of a lane.")] = 4.0,
    bridges: Annotated[bool, typer.Option(help="Draw bridges.")] = True,
    tunnels: Annotated[bool, typer.Option(help="Draw tunnels and covered roads.")] = False,
    links: Annotated[bool, typer.Option(help="Draw slip roads.")] = True,
    service: Annotated[bool, typer.Option(help="Draw service roads, such as driveways.")] = True,
    tracks: Annotated[bool, typer.Option(help="Draw tracks.")] = True,
    tiles: Annotated[
        bool, typer.Option("--tiles", help="Scenes are web map tiles, named x-y-z or z/x/y.")
    ] = False,
    crs: options.Crs = None,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download OpenStreetMap around each scene with osmnx.")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Draw roads and buildings onto the grids of scenes, as labels for training.

    The result is a GeoTIFF of classes for each SCENE, on its grid: 0 is background, classes count
    from 1 (with 'both', roads are 1 and buildings 2). The width of a road is that of its tags
    'width', 'est_width' or 'lanes', else the usual width of its class.
    """
    results = _results(like, out)
    options.check_outputs(results.values(), scenes=results, files=files or (), overwrite=overwrite)
    numbers = _numbers(values, what)
    from terralink.vector.labels import make_classes
    from terralink.vector.osm import RoadFilter

    road_filter = RoadFilter(
        bridges=bridges, tunnels=tunnels, links=links, service=service, tracks=tracks
    )

    def classes(osm: "OsmTables") -> "list[LabelClass]":
        return make_classes(osm, numbers, road_filter=road_filter, lane_m=lane_m, width_m=width_m)

    drawn = _fetched(files, classes) if fetch else _of_files(files, what, classes)
    if files:
        _check_place(files[0], list(results), drawn, tiles=tiles)
    started = perf_counter()
    scenes = _all_labels(results, drawn, tiles=tiles, crs=crs)
    _note_empty(scenes)
    record = {"scenes": scenes, "seconds": perf_counter() - started}
    console.show(record, as_json=as_json, lines=_lines(record))


def _all_labels(
    results: dict[Path, Path], drawn: "Drawn", *, tiles: bool, crs: str | None
) -> list[dict[str, Any]]:
    records = []
    with console.show_progress("labels") as update:
        for number, (scene, result) in enumerate(results.items()):

            def report_progress(part: float, before: int = number) -> None:
                update((before + part) / len(results))

            records.append(
                _label(scene, result, drawn, tiles=tiles, crs=crs, report_progress=report_progress)
            )
    return records


def _label(
    scene: Path,
    result: Path,
    drawn: "Drawn",
    *,
    tiles: bool,
    crs: str | None,
    report_progress: Callable[[float], None],
) -> dict[str, Any]:
    """Write one label, and tell what is in it."""
    from terralink.raster.source import open_source
    from terralink.vector import labels

    with open_source(scene, assumed_crs=crs) as source:
        grid = labels.find_tile_grid(source) if tiles else labels.find_grid(source)
        counts = labels.write_label(
            result, drawn(grid), source, grid=grid, progress=report_progress
        )
    parts = {name: count / (grid.height * grid.width) for name, count in counts.items()}
    return {"scene": str(scene), "pixels": counts, "parts": parts, "written": str(result)}


def _of_files(
    files: list[Path] | None, what: What, classes: "Callable[[OsmTables], list[LabelClass]]"
) -> "Drawn":
    """The same shapes for every grid, read once."""
    from terralink.vector import labels, osm

    if not files:
        raise InputError("nothing to draw: name a file of roads or buildings, or give --fetch")
    found: list[LabelClass] = []
    tables = [osm.read_tables(path) for path in files]
    labels.check_content(files, tables, what.classes)
    for path, read in zip(files, tables, strict=True):
        if read.roads.crs is None:
            raise InputError(
                f"{path} names no CRS, so its shapes have no place on Earth; assign one"
            )
        found += classes(read)
    found.sort(key=lambda each: each.name == "building")  # roofs last, whatever file they are of
    return lambda _grid: found


def _check_place(file: Path, scenes: list[Path], drawn: "Drawn", *, tiles: bool) -> None:
    """Raise ``InputError`` where nothing of the files lies on any scene; nothing is written yet."""
    from terralink.raster.source import open_source
    from terralink.vector import labels

    for scene in scenes:
        with open_source(scene) as source:
            grid = labels.find_tile_grid(source) if tiles else labels.find_grid(source)
        if labels.overlaps_grid(drawn(grid), grid):
            return
    raise labels.disjoint_error(file, drawn(grid), scene, grid)


def _fetched(
    files: list[Path] | None, classes: "Callable[[OsmTables], list[LabelClass]]"
) -> "Drawn":
    """What lies around each grid."""
    from terralink.vector import osm

    if files:
        raise InputError("name files or give --fetch, not both")
    return lambda grid: classes(osm.fetch_tables(grid))


def _results(like: list[Path], out: Path) -> dict[Path, Path]:
    """Each scene with the file of its label; two scenes never share one."""
    scenes = [found for path in like for found in _scenes(path, out)]
    results = {scene: out / under.with_suffix(".tif") for scene, under in scenes}
    if out.suffix.lower() in (".tif", ".tiff"):
        if len(scenes) > 1:
            raise InputError(f"{len(scenes)} scenes need a folder for their labels, not {out}")
        results = {scene: out for scene, _ in scenes}
    for result, count in Counter(results.values()).items():
        if count > 1:
            raise InputError(f"{count} scenes would be written to {result}: use different folders")
    return results


def _scenes(path: Path, out: Path) -> list[tuple[Path, Path]]:
    """A scene, or those in a folder but for the labels there; each with its place under ``out``."""
    if not path.is_dir():
        return [(path, Path(path.name))]
    found = [
        (each, each.relative_to(path))
        for each in sorted(path.rglob("*"))
        if each.suffix.lower() in _SCENES and out not in each.parents
    ]
    if not found:
        raise InputError(f"no scenes in the folder {path}; they end in {', '.join(_SCENES)}")
    return found


def _numbers(text: str | None, what: What) -> dict[str, int]:
    """The value of each class.

    >>> _numbers(None, What.BOTH), _numbers("255", What.BUILDINGS)
    ({'road': 1, 'building': 2}, {'building': 255})
    """
    names = what.classes
    if text is None:
        return {name: value for value, name in enumerate(names, start=1)}
    parts = [part.strip() for part in text.split(",")]
    values = [int(part) for part in parts if part.isdecimal() and 1 <= int(part) <= 255]
    if len(parts) != len(names) or len(set(values)) != len(names):
        raise InputError(
            f"--values wants a number from 1 to 255 for each of {', '.join(names)}, "
            f"all different; got {text!r}"
        )
    return dict(zip(names, values, strict=True))


def _note_empty(scenes: list[dict[str, Any]]) -> None:
    """An empty label may be right, in a desert, but most often the file is of another place."""
    empty = [record["scene"] for record in scenes if not any(record["pixels"].values())]
    if empty:
        console.print_note(
            f"{len(empty)} of {len(scenes)} labels are empty, such as that of {empty[0]}: "
            "no road or building of the files is there"
        )


def _lines(record: console.Record) -> list[tuple[str, object]]:
    scenes = record["scenes"]
    shares = {
        name: f"{sum(each['parts'][name] for each in scenes) / len(scenes):.1%} of the pixels"
        for name in scenes[0]["parts"]
    }
    written = [each["written"] for each in scenes]
    return [
        ("labels", f"{len(scenes):,}"),
        *shares.items(),
        ("took", console.format_duration(record["seconds"])),
        ("written", console.join_first(written, 1)),
    ]
