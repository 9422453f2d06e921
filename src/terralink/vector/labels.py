"""Labels of scenes, drawn from roads and buildings: 0 is background, then a value a class.

A label is a uint8 GeoTIFF on its scene's own grid, with a palette, and with the names of its
classes in its tags: ``classes`` is ``{"1": "road", "2": "building"}``. What the scene does not
show is masked in its label too. Labels are drawn in windows: memory does not depend on the scene.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import Transformer

from terralink.errors import InputError, SceneError
from terralink.raster.grid import Grid, parse_xyz, tile_grid
from terralink.raster.scene import Raster
from terralink.raster.source import Source
from terralink.raster.tiling import iter_windows
from terralink.raster.writer import RGB, RasterWriter
from terralink.vector.osm import OsmTables, RoadFilter, select_centre_lines
from terralink.vector.osm.widths import LANE_M
from terralink.vector.rasterize import Shapes, building_shapes, road_shapes

_WINDOW_PX = (512, 4096)
_COLOURS: Mapping[str, RGB] = {"road": (255, 196, 64), "building": (214, 72, 60)}
_OTHER_COLOUR, _BACKGROUND = (96, 160, 220), (0, 0, 0)


@dataclass(frozen=True, eq=False)
class LabelClass:
    """Shapes that get the ``value`` 1..255 in a label, under a ``name``."""

    name: str
    value: int
    shapes: Shapes


def make_classes(
    osm: OsmTables,
    values: Mapping[str, int],
    *,
    road_filter: RoadFilter | None = None,
    lane_m: float = LANE_M,
    width_m: float | None = None,
) -> list[LabelClass]:
    """What of ``osm`` is drawn: ``values`` names "road" and "building", each with its value.

    ``road_filter`` and ``lane_m``: see ``select_centre_lines``; ``width_m`` is one width for
    all roads.
    """
    shapes: dict[str, Callable[[], Shapes]] = {
        "road": lambda: road_shapes(
            select_centre_lines(osm.roads, road_filter, lane_m=lane_m), width_m=width_m
        ),
        "building": lambda: building_shapes(osm.buildings),
    }
    return [LabelClass(name, value, shapes[name]()) for name, value in values.items()]


def check_content(
    paths: Sequence[str | os.PathLike[str]], found: Sequence[OsmTables], names: Collection[str]
) -> None:
    """Raise ``InputError`` where files hold nothing of what is to be drawn: "road", "building".

    Of several kinds one is enough.
    """
    counts = {
        "road": sum(len(each.roads) for each in found),
        "building": sum(len(each.buildings) for each in found),
    }
    if any(counts[name] for name in names):
        return
    files = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files such as {paths[0]}"
    others = [f"{count:,} {name}s" for name, count in counts.items() if count]
    holds = f"it holds {' and '.join(others)}" if others else "it holds neither lines nor areas"
    raise InputError(
        f"{files} holds no {' and no '.join(names)} to draw (roads are lines, or tagged highway; "
        f"buildings are polygons, or tagged building): {holds}"
        f"{'; draw those, or name another file' if others else '; name another file'}"
    )


def overlaps_grid(classes: Iterable[LabelClass], grid: Grid) -> bool:
    """Whether a shape of any class may touch ``grid``."""
    return any(len(each.shapes.find_near(grid)) for each in classes)


def disjoint_error(
    files: object, classes: Iterable[LabelClass], scene: object, grid: Grid
) -> InputError:
    """The error for ``files`` without shapes on any scene, such as ``scene`` on ``grid``."""
    boxes = [
        Transformer.from_crs(each.shapes.crs, 4326, always_xy=True).transform_bounds(
            *shapely.total_bounds(each.shapes.geometry)
        )
        for each in classes
        if len(each.shapes) and each.shapes.crs is not None
    ]
    low, high = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    box = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform_bounds(*grid.bounds)
    return InputError(
        f"nothing of {files} lies on {scene}: its shapes reach from {_degrees(*low, *high)}, the "
        f"scene from {_degrees(*box)} (longitude, latitude); are they of another place, or of "
        "another CRS than they name?"
    )


def _degrees(left: float, bottom: float, right: float, top: float) -> str:
    return f"{left:.4f}, {bottom:.4f} to {right:.4f}, {top:.4f}"


def draw_label(classes: Sequence[LabelClass], grid: Grid) -> Raster:
    """A label uint8 (row, col) of ``grid``; where classes overlap, the last one is seen."""
    label = np.zeros(grid.shape, np.uint8)
    for each in classes:
        label[each.shapes.burn(grid)] = each.value
    return Raster(label, grid)


def write_label(
    path: str | os.PathLike[str],
    classes: Sequence[LabelClass],
    scene: Source,
    *,
    grid: Grid | None = None,
    progress: Callable[[float], None] = lambda _part: None,
) -> dict[str, int]:
    """Write the label of ``scene`` and return how many pixels each class has.

    ``grid`` is where the scene lies, when it does not say itself (see ``find_tile_grid``). Several
    classes may share a name and a value. Raises ``SceneError`` for a scene that lies nowhere on
    Earth, ``OutputError`` when the disk is full.
    """
    grid = grid or find_grid(scene)
    counts = np.zeros(256, np.int64)
    with RasterWriter(path, grid, tags=_tags(classes), colormap=_palette(classes)) as writer:
        for row, col, shape in iter_windows(grid.shape, _WINDOW_PX):
            label = draw_label(classes, grid.window(row, col, shape)).array
            _, valid = scene.read((row, row + shape[0]), (col, col + shape[1]))
            label[~valid] = 0
            writer.write(row, col, label, None if valid.all() else valid)
            counts += np.bincount(label.ravel(), minlength=256)
            progress((row + shape[0]) / grid.height)
    return {each.name: int(counts[each.value]) for each in classes}


def find_grid(scene: Source) -> Grid:
    """The grid of a scene that says where on Earth it lies; raises ``SceneError`` for others."""
    if scene.grid.crs is None:
        raise SceneError(
            f"{scene.path} has no CRS, so nothing can be drawn where it lies; name it with "
            "--crs EPSG:... (tiles of a web map lie where their names say)"
        )
    return scene.grid


def find_tile_grid(scene: Source) -> Grid:
    """The grid of a tile of a web map, by its name; raises ``InputError`` for other names."""
    height, width = scene.grid.shape
    if height != width:
        raise SceneError(f"a tile is square, {scene.path} is {width} x {height} px")
    return tile_grid(*parse_xyz(scene.path), side_px=height)


def _tags(classes: Sequence[LabelClass]) -> dict[str, str]:
    names = {str(each.value): each.name for each in classes}
    return {"classes": json.dumps(names)}


def _palette(classes: Sequence[LabelClass]) -> dict[int, RGB]:
    return {0: _BACKGROUND} | {
        each.value: _COLOURS.get(each.name, _OTHER_COLOUR) for each in classes
    }
