"""Pairs of truth and prediction, and the grids of their rasters.

Two files are a pair; files of two folders are paired by their stem. Grids are checked, since a
score between two places would be a property of the files.

A raster is placed if it has a CRS, or a transform (of a world file, of a local plan). The
coordinates of one that is not placed are pixels from its corner, or metres with ``pixel_size_m``.

RULE 1: if one of two rasters is placed, both have the same size, and both get its grid.
``pixel_size_m`` confirms this, and must agree with that grid.
RULE 2: two rasters that are not placed have the same size.
RULE 3: two placed rasters without a CRS cover the same area. If only one of them has a CRS, they
have the same grid otherwise.
RULE 4: two rasters with a CRS each are where they say.
RULE 5: shapes beside a raster without a CRS have none either. If the raster is not placed, they lie
within its pixels.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine

from terralink.errors import InputError
from terralink.raster import Grid
from terralink.raster.source import open_source
from terralink.vector import osm
from terralink.vector.osm import file_stem
from terralink.vector.projection import Extent

RASTERS = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".vrt", ".bmp", ".gif"})
_PIXEL_SIZE_TOLERANCE = 0.01  # pixel sizes within 1% are equal
_ADVICE = "give the size of a pixel on the ground: --pixel-size METRES"


@dataclass(frozen=True)
class Pair:
    """A truth and its prediction, with the stem as the name."""

    name: str
    truth: Path
    pred: Path


@dataclass(frozen=True)
class Pairs:
    """The pairs, sorted by name, and the files without a partner."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Path, ...] = ()


def find_pairs(truth: Path, pred: Path) -> Pairs:
    """Pair two files, or the rasters and vectors of two folders that have the same stem.

    Raises ``InputError`` if only one path is a folder, if no file has a partner, and for a stem
    that occurs twice in a folder.
    """
    for path in (truth, pred):
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
    if truth.is_dir() != pred.is_dir():
        raise InputError(f"give two files or two folders, not {truth} and {pred}")
    if not truth.is_dir():
        return Pairs((Pair(file_stem(truth), truth, pred),))
    truths, preds = _by_stem(truth), _by_stem(pred)
    both = sorted(truths.keys() & preds.keys())
    if not both:
        raise InputError(f"no file of {truth} has the stem of one in {pred}: nothing to compare")
    unpaired = [side[stem] for side in (truths, preds) for stem in sorted(side) if stem not in both]
    return Pairs(tuple(Pair(stem, truths[stem], preds[stem]) for stem in both), tuple(unpaired))


def _by_stem(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not (is_vector(path) or path.suffix.lower() in RASTERS):
            continue
        first = files.setdefault(file_stem(path), path)
        if first != path:
            raise InputError(f"{folder} has {first.name} and {path.name}: keep one of them")
    return files


def is_vector(path: Path) -> bool:
    """Whether the suffix is that of a vector file or a graph."""
    return path.suffix.lower() == ".graphml" or osm.is_vector(path)


@dataclass(frozen=True)
class _RasterGrid:
    """The grid of a raster, and whether the file itself has it."""

    path: Path
    grid: Grid
    placed: bool


def find_grids(pair: Pair, pixel_size_m: float | None) -> tuple[Grid | None, Grid | None]:
    """The grids of truth and prediction; None for a vector file.

    Raises ``InputError`` for two rasters that are not in one place, or do not say so.
    """
    truth, pred = (_read_grid(path, pixel_size_m) for path in (pair.truth, pair.pred))
    if truth is None or pred is None:
        return (truth.grid if truth else None), (pred.grid if pred else None)
    if not truth.placed and not pred.placed:
        _check_one_size(pair, truth.grid, pred.grid)
        return truth.grid, pred.grid
    if truth.placed and pred.placed:
        return _match_placed(pair, truth, pred)
    not_placed, placed = (pred, truth) if truth.placed else (truth, pred)
    _check_one_size(pair, truth.grid, pred.grid)
    if pixel_size_m is None:
        raise InputError(
            f"{pair.name}: {not_placed.path} has no georeference, {placed.path} is at "
            f"{_describe(placed.grid)}; if both show the same area, {_ADVICE}"
        )
    _check_pixel_size(placed, pixel_size_m)
    return placed.grid, placed.grid


def check_one_grid(pair: Pair, truth: Grid, pred: Grid) -> None:
    """Raise ``InputError`` for grids that cannot be compared pixel by pixel."""
    _check_one_size(pair, truth, pred)
    if not is_one_grid(truth, pred):
        raise InputError(
            f"{pair.name}: truth and prediction do not overlap pixel by pixel; truth is at "
            f"{_describe(truth)}, prediction at {_describe(pred)}"
        )


def is_one_grid(truth: Grid, pred: Grid) -> bool:
    """Whether both have the same pixels, within half a pixel."""
    return (
        truth.shape == pred.shape
        and truth.crs == pred.crs
        and _max_corner_distance_px(truth, pred) < 0.5
    )


def is_placed(grid: Grid) -> bool:
    """Whether a raster has a CRS or a transform, so that its pixels have a size."""
    return grid.crs is not None or grid.transform != Affine.identity()


def check_vector(pair: Pair, raster: Path, grid: Grid, vector: Extent | None) -> None:
    """Raise ``InputError`` for shapes that cannot lie in the raster (RULE 5)."""
    if vector is None or grid.crs is not None:
        return
    if vector.crs is not None:
        raise InputError(
            f"{pair.name}: {raster} has no CRS, and the other file is at {vector}; give the "
            "raster its CRS: gdal_edit.py -a_srs EPSG:... FILE (--pixel-size gives it a size, not "
            "a place)"
        )
    left, bottom, right, top = vector.bounds
    if not is_placed(grid) and (
        min(left, bottom) < -1 or right > grid.width + 1 or top > grid.height + 1
    ):
        raise InputError(
            f"{pair.name}: {raster} is {grid.width} x {grid.height} pixels without a "
            f"georeference, but the other file extends beyond it, to {vector}; {_ADVICE}"
        )


def _read_grid(path: Path, pixel_size_m: float | None) -> _RasterGrid | None:
    if is_vector(path):
        return None
    with open_source(path, expand_palette=False) as source:
        grid = source.grid
    raster = _RasterGrid(path, grid, is_placed(grid))
    if raster.placed:
        if grid.crs is None and pixel_size_m is not None:
            _check_pixel_size(raster, pixel_size_m)
        return raster
    return replace(raster, grid=replace(grid, transform=Affine.scale(pixel_size_m or 1.0)))


def _match_placed(pair: Pair, truth: _RasterGrid, pred: _RasterGrid) -> tuple[Grid, Grid]:
    """The grids of RULES 3 and 4."""
    grids = truth.grid, pred.grid
    crs = truth.grid.crs or pred.grid.crs
    if all(grid.crs is not None for grid in grids):
        return grids
    if crs is not None:
        grids = replace(truth.grid, crs=crs), replace(pred.grid, crs=crs)
        if is_one_grid(*grids):
            return grids
        without_crs = truth if truth.grid.crs is None else pred
        raise InputError(
            f"{pair.name}: {without_crs.path} has no CRS, the other one has, and they are not on "
            f"one grid: truth is at {_describe(truth.grid)}, prediction at "
            f"{_describe(pred.grid)}; give it its CRS: gdal_edit.py -a_srs EPSG:... FILE"
        )
    difference = np.abs(np.subtract(truth.grid.bounds, pred.grid.bounds)).max()
    if difference > max(*truth.grid.pixel_size_m, *pred.grid.pixel_size_m):
        raise InputError(
            f"{pair.name}: truth and prediction have no CRS and do not lie on one grid: truth is "
            f"at {_describe(truth.grid)}, prediction at {_describe(pred.grid)}; take away the "
            f"transform that is wrong (gdal_edit.py -unsetgt FILE) and {_ADVICE}"
        )
    return grids


def _check_one_size(pair: Pair, truth: Grid, pred: Grid) -> None:
    if truth.shape != pred.shape:
        raise InputError(
            f"{pair.name}: truth is {truth.width} x {truth.height} pixels and prediction "
            f"{pred.width} x {pred.height}: masks are compared pixel by pixel"
        )


def _check_pixel_size(placed: _RasterGrid, pixel_size_m: float) -> None:
    across, down = placed.grid.pixel_size_m
    if max(abs(side / pixel_size_m - 1) for side in (across, down)) > _PIXEL_SIZE_TOLERANCE:
        raise InputError(
            f"--pixel-size says {pixel_size_m:g} m, but the pixels of {placed.path} are "
            f"{across:.4g} x {down:.4g} m by its transform; correct one of them"
        )


def _max_corner_distance_px(truth: Grid, pred: Grid) -> float:
    corners = [0, pred.width, 0, pred.width], [0, 0, pred.height, pred.height]
    other_corners = truth.colrow(*pred.xy(*corners))
    return float(np.abs(np.subtract(other_corners, corners)).max())


def _describe(grid: Grid) -> str:
    unit = " m" if grid.crs is not None else ""
    return f"{Extent(grid.bounds, grid.crs)}, in pixels of {grid.pixel_size_m[0]:.3g}{unit}"
