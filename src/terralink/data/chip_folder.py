"""Scenes cut into a folder of chips, with a manifest that says where each comes from.

    DIR/images/vegas_00512_01024.tif   uint8, on its own grid: tiled, compressed, with its stretch
    DIR/masks/vegas_00512_01024.tif    classes; what is not known is masked
    DIR/shapes/vegas_00512_01024.geojson   where it is asked for, what was drawn, cut at the borders
    DIR/manifest.csv                   a row for each window, also for those that were left out

``{kind: scenes, folder: DIR, stretch: none}`` in a recipe reads it back.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from terralink.atomic_write import write_atomically
from terralink.data.chips import IGNORE, Chip, pixel_size_m
from terralink.data.masks import SceneVectorMasks
from terralink.data.prepare import is_informative
from terralink.data.splits import Footprint
from terralink.data.windows import Scenes, Window
from terralink.errors import InputError, OutputError
from terralink.raster import Grid, Raster, RasterWriter
from terralink.raster.geometry import to_rfc7946
from terralink.vector.labels import LabelClass

MANIFEST = "manifest.csv"
_COLOURS = (
    (0, 0, 0),
    (255, 196, 64),
    (214, 72, 60),
    (96, 160, 220),
    (88, 168, 92),
    (168, 112, 200),
)


@dataclass(frozen=True)
class ManifestRow:
    """A window in the manifest: where it lies, what part of it is not known, and each class's part.

    ``name`` is that of its files; those that were ``left_out`` have none.
    """

    name: str
    left_out: str
    window: Window
    no_data: float
    unlabelled: float
    classes: Mapping[int, float]

    def columns(self, classes: Sequence[int]) -> dict[str, Any]:
        """As they are written, with a column for each of ``classes``."""
        left, bottom, right, top = self.window.grid.bounds
        height, width = self.window.grid.shape
        crs = self.window.grid.crs
        return {
            "chip": self.name,
            "left_out": self.left_out,
            "scene": str(self.window.scene),
            "row": self.window.row,
            "col": self.window.col,
            "height": height,
            "width": width,
            "left": left,
            "bottom": bottom,
            "right": right,
            "top": top,
            "crs": crs.to_string() if crs else "",
            "pixel_size_m": pixel_size_m(self.window.scene_grid) or "",
            "no_data": round(self.no_data, 6),
            "unlabelled": round(self.unlabelled, 6),
            **{f"class_{each}": round(self.classes.get(each, 0.0), 6) for each in classes},
        }


def export_chips(
    scenes: Scenes,
    out: Path,
    *,
    names: Mapping[int, str] | None = None,
    with_shapes: bool = False,
    progress: Callable[[float], None] = lambda _part: None,
) -> list[ManifestRow]:
    """Cut every window of ``scenes`` into the new folder ``out``; the rows of its manifest.

    ``names`` of the classes are stored in the masks. The folder appears when it is whole. Raises
    ``OutputError`` where ``out`` is there already, ``InputError`` for what the scenes lack.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is there already, and not empty; name a new folder")
    _check_names(scenes.paths)
    if with_shapes and not isinstance(scenes.labels, SceneVectorMasks):
        raise InputError("shapes can be written where there are some; name a file of them")
    rows = []
    with write_atomically(out) as part:
        for index in range(len(scenes)):
            rows.append(_export_window(scenes, index, part, names or {}, with_shapes=with_shapes))
            progress((index + 1) / len(scenes))
        part.mkdir(exist_ok=True)
        _write_manifest(part / MANIFEST, rows)
    return rows


def _export_window(
    scenes: Scenes, index: int, out: Path, names: Mapping[int, str], *, with_shapes: bool
) -> ManifestRow:
    """Write a window's files, unless it has no signal, and tell what is in it."""
    window, image, mask = scenes.read(index)
    name = f"{window.scene.stem}_{window.row:05d}_{window.col:05d}"
    row = _describe_window(name, window, image, mask)
    if not is_informative(Chip(image.array, mask, name)):
        return ManifestRow("", "no signal", window, row.no_data, row.unlabelled, row.classes)
    tags = scenes.stretch.to_tags()
    with RasterWriter(
        out / "images" / f"{name}.tif", image.grid, bands=len(image.array), tags=tags
    ) as writer:
        writer.write(0, 0, image.array, image.valid)
    if scenes.labels is not None:
        _write_mask(out / "masks" / f"{name}.tif", mask, image.grid, names)
    if with_shapes and isinstance(scenes.labels, SceneVectorMasks):
        _write_shapes(
            out / "shapes" / f"{name}.geojson", scenes.labels.read_classes(window), image.grid
        )
    return row


def _describe_window(
    name: str, window: Window, image: Raster, mask: NDArray[np.uint8]
) -> ManifestRow:
    parts = np.bincount(mask.ravel(), minlength=IGNORE + 1) / mask.size
    no_data = 0.0 if image.valid is None else 1 - float(image.valid.mean())
    found = {int(each): float(parts[each]) for each in np.flatnonzero(parts[:IGNORE])}
    return ManifestRow(name, "", window, no_data, max(0.0, float(parts[IGNORE]) - no_data), found)


def _write_mask(path: Path, mask: NDArray[np.uint8], grid: Grid, names: Mapping[int, str]) -> None:
    known = mask != IGNORE
    tags = {"classes": json.dumps({str(value): name for value, name in names.items()})}
    used = range(max([int(mask[known].max(initial=1)), *names]) + 1)
    colours = {value: _COLOURS[value % len(_COLOURS)] for value in used}
    with RasterWriter(path, grid, tags=tags if names else None, colormap=colours) as writer:
        writer.write(0, 0, np.where(known, mask, np.uint8(0)), None if known.all() else known)


def _write_shapes(path: Path, classes: Sequence[LabelClass], grid: Grid) -> None:
    """What lies in a chip, cut at its borders, as longitude and latitude."""
    features = []
    for each in classes:
        assert each.shapes.crs is not None
        transformer = Transformer.from_crs(grid.crs, each.shapes.crs, always_xy=True)
        border = _transform_shape(shapely.box(*grid.bounds), transformer)
        near = np.sort(each.shapes.find_near(grid))
        for shape, width_m in zip(
            shapely.intersection(shapely.make_valid(each.shapes.geometry[near]), border),
            each.shapes.width_m[near],
            strict=True,
        ):
            if not shape.is_empty:
                properties = {"class": each.name} | ({"width_m": float(width_m)} if width_m else {})
                (lonlat,) = to_rfc7946(np.array([shape], dtype=object), each.shapes.crs)
                features.append(
                    {
                        "type": "Feature",
                        "properties": properties,
                        "geometry": shapely.geometry.mapping(lonlat),
                    }
                )
    with write_atomically(path) as part:
        collection = {"type": "FeatureCollection", "features": features}
        part.write_text(json.dumps(collection), encoding="utf-8")


def _transform_shape(shape: shapely.Geometry, transformer: Transformer) -> Any:
    return shapely.transform(shape, lambda xy: np.column_stack(transformer.transform(*xy.T)))


def _write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    classes = sorted({each for row in rows for each in row.classes})
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = [row.columns(classes) for row in rows]
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


class ChipOrigin(NamedTuple):
    """Where a chip was cut from: a window of a ``scene``, in its pixels."""

    scene: str
    row: int
    col: int
    height: int
    width: int

    @property
    def footprint(self) -> Footprint:
        """The same as a box, y upwards."""
        bottom, right = -(self.row + self.height), self.col + self.width
        return Footprint(self.scene, (self.col, bottom, right, -self.row))

    def window(self, row: int, col: int, shape: tuple[int, int]) -> "ChipOrigin":
        """A window of ``shape`` of the chip, at its pixel (row, col)."""
        return ChipOrigin(self.scene, self.row + row, self.col + col, *shape)


def read_origins(manifest: Path) -> dict[str, ChipOrigin]:
    """Where each chip was cut from, by its name; empty where there is no manifest."""
    if not manifest.is_file():
        return {}
    with manifest.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["chip"]]
    sizes = ("row", "col", "height", "width")
    return {
        line["chip"]: ChipOrigin(line["scene"], *(int(line[key]) for key in sizes))
        for line in lines
    }


def _check_names(paths: Sequence[Path]) -> None:
    first: dict[str, Path] = {}
    for path in paths:
        if first.setdefault(path.stem, path) != path:
            raise InputError(
                f"{first[path.stem]} and {path} would be cut to chips of one name; cut them apart"
            )
