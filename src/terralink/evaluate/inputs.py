"""Masks, roads and buildings of a pair of files, whatever form they have."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS

from terralink import vectorize
from terralink.errors import InputError
from terralink.evaluate.pairs import VECTORS, Pair
from terralink.geo import Grid, Raster
from terralink.geo.buildings import read_buildings
from terralink.geo.source import Source, opened
from terralink.graph import RoadGraph
from terralink.metrics.extents import Extent
from terralink.metrics.polygons import Buildings

Mask = NDArray[np.bool_]
Found: TypeAlias = RoadGraph | Buildings

_ROWS = 1024  # a multiple of every usual patch


class Band(NamedTuple):
    """Rows (row, col) of both masks, where both are valid, and their grid."""

    truth: Mask
    pred: Mask
    valid: Mask
    grid: Grid


def bands(pair: Pair, threshold: float | None, *, rows: int = _ROWS) -> Iterator[Band]:
    """Both masks in whole-width rows; raises ``InputError`` where they are not of one place."""
    for path in (pair.truth, pair.pred):
        if _is_vector(path):
            raise InputError(f"{path} is not a raster: pixels and patches are scored on masks")
    with ExitStack() as both:
        truth, pred = (
            both.enter_context(opened(path, expand_palette=False))
            for path in (pair.truth, pair.pred)
        )
        _check_same_place(pair, truth.grid, pred.grid)
        height, width = truth.grid.shape
        for row in range(0, height, rows):
            stop = min(row + rows, height)
            (t, t_valid), (p, p_valid) = (
                _mask(source, row, stop, threshold) for source in (truth, pred)
            )
            grid = truth.grid.window(row, 0, (stop - row, width))
            yield Band(t, p, t_valid & p_valid, grid)


def roads(path: Path, threshold: float | None) -> RoadGraph:
    """Roads of a vector file, joined where lines share a point, or traced from a mask."""
    if _is_vector(path):
        return RoadGraph.from_file(path, node="vertices")
    tracer = vectorize.RoadTracer()
    for band in _mask_bands(path, threshold):
        tracer.add(band)
    return tracer.finish()


def buildings(path: Path, threshold: float | None) -> Buildings:
    """Polygons of a vector file, or the pieces of a mask with their outlines as they are."""
    if _is_vector(path):
        return read_buildings(path)
    tracer = vectorize.BuildingTracer(neck=0, min_area_m2=0, min_hole_m2=0, right_angles=False)
    for band in _mask_bands(path, threshold):
        tracer.add(band)
    found: Buildings = tracer.finish()
    return found


def extent(path: Path, found: Found) -> Extent | None:
    """Where a file is: around the shapes that were ``found`` in it, or all of a raster.

    A file without shapes is nowhere, and belongs to any other.
    """
    shapes, crs = (
        (found.lines, found.crs)
        if isinstance(found, RoadGraph)
        else (np.asarray(found.geometry, dtype=object), found.crs)
    )
    around = Extent.of(shapes, CRS.from_user_input(crs) if crs is not None else None)
    if around is None or _is_vector(path):
        return around
    with opened(path, expand_palette=False) as source:
        return Extent(source.grid.bounds, source.grid.crs)


def _mask_bands(path: Path, threshold: float | None) -> Iterator[Raster]:
    with opened(path, expand_palette=False) as source:
        height, width = source.grid.shape
        for row in range(0, height, _ROWS):
            stop = min(row + _ROWS, height)
            mask, valid = _mask(source, row, stop, threshold)
            yield Raster(mask, source.grid.window(row, 0, (stop - row, width)), valid)


def _mask(source: Source, row: int, stop: int, threshold: float | None) -> tuple[Mask, Mask]:
    """What is positive in any band: not zero, or at least the threshold; and what is valid."""
    image, valid = source.read((row, stop), (0, source.grid.width))
    levels = np.nan_to_num(image.astype(np.float32, copy=False), nan=0.0)
    positive = levels != 0 if threshold is None else levels >= threshold
    return np.asarray(positive.any(axis=0)), np.asarray(valid & ~np.isnan(image).all(axis=0))


def _check_same_place(pair: Pair, truth: Grid, pred: Grid) -> None:
    if truth.shape != pred.shape:
        raise InputError(
            f"{pair.name}: truth is {truth.width} x {truth.height} pixels and prediction "
            f"{pred.width} x {pred.height}: masks are compared pixel by pixel"
        )
    if truth.crs is None or pred.crs is None:
        return
    apart = np.subtract(truth.colrow(*_corners(pred)), truth.colrow(*_corners(truth)))
    if truth.crs != pred.crs or np.abs(apart).max() > 0.5:
        raise InputError(
            f"{pair.name}: truth and prediction do not overlap pixel by pixel; truth is at "
            f"{_place(truth)}, prediction at {_place(pred)}"
        )


def _corners(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return grid.xy([0, grid.width], [0, grid.height])


def _place(grid: Grid) -> str:
    left, _, _, top = grid.bounds
    assert grid.crs is not None
    return f"({left:.6g}, {top:.6g}) of {grid.crs.to_string()}"


def _is_vector(path: Path) -> bool:
    return path.suffix.lower() in VECTORS
