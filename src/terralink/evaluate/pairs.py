"""Which prediction belongs to which truth, and on which grids both lie.

Files are paired by themselves, or those of two folders by their stem. Scores between two places
would tell of the files, so grids are checked.

A raster is placed where it has a CRS, or a transform of its own (a world file, a local plan). One
that is not placed counts pixels from its corner, or metres where ``pixel_size_m`` is given.

RULE 1: two rasters of which one is placed are of one size, and lie on the grid of that one;
``pixel_size_m`` says that they do, and has to fit it.
RULE 2: two rasters that are not placed are of one size.
RULE 3: two placed rasters without a CRS cover the same ground; one with a CRS and one without lie
on one grid.
RULE 4: two rasters with a CRS each lie where they say.
RULE 5: beside a raster without a CRS lie shapes without one; they do not reach out of its pixels
where it is not placed.
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
_SAME_SIZE_WITHIN = 0.01  # pixel sizes this near to each other are one size
_SAY = "say how large a pixel is on the ground: --pixel-size METRES"


@dataclass(frozen=True)
class Pair:
    """A truth and its prediction."""

    name: str
    truth: Path
    pred: Path


@dataclass(frozen=True)
class Pairs:
    """The pairs, sorted by name, and the files that have no partner."""

    pairs: tuple[Pair, ...]
    unpaired: tuple[Path, ...] = ()


def find_pairs(truth: Path, pred: Path) -> Pairs:
    """Pair two files, or the files of two folders that have the same stem.

    In folders rasters and vectors count, by their suffix. Raises ``InputError`` where one is a
    folder and the other is not, where nothing has a partner, and for a stem that is there twice.
    """
    for path in (truth, pred):
        if not path.exists():
            raise InputError(f"no such file or folder: {path}")
    if truth.is_dir() != pred.is_dir():
        raise InputError(f"two files or two folders are wanted, not {truth} and {pred}")
    if not truth.is_dir():
        return Pairs((Pair(file_stem(truth), truth, pred),))
    wanted, given = _by_stem(truth), _by_stem(pred)
    both = sorted(wanted.keys() & given.keys())
    if not both:
        raise InputError(f"no file of {truth} has the stem of one in {pred}: nothing to compare")
    alone = [side[stem] for side in (wanted, given) for stem in sorted(side) if stem not in both]
    return Pairs(tuple(Pair(stem, wanted[stem], given[stem]) for stem in both), tuple(alone))


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not (is_vector(path) or path.suffix.lower() in RASTERS):
            continue
        first = found.setdefault(file_stem(path), path)
        if first != path:
            raise InputError(f"{folder} has {first.name} and {path.name}: which of them is meant?")
    return found


def is_vector(path: Path) -> bool:
    """Whether the suffix names a file of shapes, or a graph."""
    return path.suffix.lower() == ".graphml" or osm.is_vector(path)


@dataclass(frozen=True)
class _RasterGrid:
    """A raster's grid, and whether the file itself says where that is."""

    path: Path
    grid: Grid
    placed: bool


def find_grids(pair: Pair, pixel_size_m: float | None) -> tuple[Grid | None, Grid | None]:
    """The grids of truth and prediction, None for a vector file.

    Raises ``InputError`` where two rasters are not of one place, or do not say so.
    """
    truth, pred = (_read_grid(path, pixel_size_m) for path in (pair.truth, pair.pred))
    if truth is None or pred is None:
        return (truth.grid if truth else None), (pred.grid if pred else None)
    if not truth.placed and not pred.placed:
        _check_one_size(pair, truth.grid, pred.grid)
        return truth.grid, pred.grid
    if truth.placed and pred.placed:
        return _match_placed(pair, truth, pred)
    lost, found = (pred, truth) if truth.placed else (truth, pred)
    _check_one_size(pair, truth.grid, pred.grid)
    if pixel_size_m is None:
        raise InputError(
            f"{pair.name}: {lost.path} says nothing of its place, {found.path} lies at "
            f"{_describe(found.grid)}; if both show the same ground, {_SAY}"
        )
    _check_pixel_size(found, pixel_size_m)
    return found.grid, found.grid


def check_one_grid(pair: Pair, truth: Grid, pred: Grid) -> None:
    """Raise ``InputError`` for grids that cannot be compared pixel by pixel."""
    _check_one_size(pair, truth, pred)
    if not is_one_grid(truth, pred):
        raise InputError(
            f"{pair.name}: truth and prediction do not overlap pixel by pixel; truth is at "
            f"{_describe(truth)}, prediction at {_describe(pred)}"
        )


def is_one_grid(truth: Grid, pred: Grid) -> bool:
    """Whether both have the same pixels, up to half of one."""
    return (
        truth.shape == pred.shape
        and truth.crs == pred.crs
        and _max_corner_distance_px(truth, pred) < 0.5
    )


def is_placed(grid: Grid) -> bool:
    """Whether a file says where it lies, or at least how large its pixels are."""
    return grid.crs is not None or grid.transform != Affine.identity()


def check_vector(pair: Pair, raster: Path, grid: Grid, vector: Extent | None) -> None:
    """Raise ``InputError`` where the shapes of the other file cannot lie in the raster's pixels."""
    if vector is None or grid.crs is not None:
        return
    if vector.crs is not None:
        raise InputError(
            f"{pair.name}: {raster} has no CRS, and the other file lies at {vector}; give the "
            "raster its CRS: gdal_edit.py -a_srs EPSG:... FILE (--pixel-size gives it a size, not "
            "a place)"
        )
    left, bottom, right, top = vector.bounds
    if not is_placed(grid) and (
        min(left, bottom) < -1 or right > grid.width + 1 or top > grid.height + 1
    ):
        raise InputError(
            f"{pair.name}: {raster} is {grid.width} x {grid.height} pixels and says nothing of its "
            f"place, but the other file reaches out of it, to {vector}; {_SAY}"
        )


def _read_grid(path: Path, pixel_size_m: float | None) -> _RasterGrid | None:
    if is_vector(path):
        return None
    with open_source(path, expand_palette=False) as source:
        grid = source.grid
    placed = _RasterGrid(path, grid, is_placed(grid))
    if placed.placed:
        if grid.crs is None and pixel_size_m is not None:
            _check_pixel_size(placed, pixel_size_m)
        return placed
    return replace(placed, grid=replace(grid, transform=Affine.scale(pixel_size_m or 1.0)))


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
        lost = truth if truth.grid.crs is None else pred
        raise InputError(
            f"{pair.name}: {lost.path} has no CRS and the other one has, and they do not lie on "
            f"one grid: truth is at {_describe(truth.grid)}, prediction at "
            f"{_describe(pred.grid)}; give it its CRS: gdal_edit.py -a_srs EPSG:... FILE"
        )
    apart = np.abs(np.subtract(truth.grid.bounds, pred.grid.bounds)).max()
    if apart > max(*truth.grid.pixel_size_m, *pred.grid.pixel_size_m):
        raise InputError(
            f"{pair.name}: truth and prediction have no CRS and do not lie on one grid: truth is "
            f"at {_describe(truth.grid)}, prediction at {_describe(pred.grid)}; take away the "
            f"transform that is wrong (gdal_edit.py -unsetgt FILE) and {_SAY}"
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
    if max(abs(side / pixel_size_m - 1) for side in (across, down)) > _SAME_SIZE_WITHIN:
        raise InputError(
            f"--pixel-size says {pixel_size_m:g} m, but the pixels of {placed.path} are "
            f"{across:.4g} x {down:.4g} m by its transform; which of both is right?"
        )


def _max_corner_distance_px(truth: Grid, pred: Grid) -> float:
    corners = [0, pred.width, 0, pred.width], [0, 0, pred.height, pred.height]
    there = truth.colrow(*pred.xy(*corners))
    return float(np.abs(np.subtract(there, corners)).max())


def _describe(grid: Grid) -> str:
    unit = " m" if grid.crs is not None else ""
    return f"{Extent(grid.bounds, grid.crs)}, in pixels of {grid.pixel_size_m[0]:.3g}{unit}"
