"""Masks, roads and buildings of a pair of files, whatever form they have."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from pyproj import CRS

from terralink import vectorize
from terralink._typing import Mask
from terralink.errors import InputError
from terralink.evaluate.pairs import (
    Pair,
    check_one_grid,
    check_vector,
    find_grids,
    is_one_grid,
    is_placed,
    is_vector,
)
from terralink.graph import RoadGraph
from terralink.metrics.buildings import Buildings
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import min_positive_value
from terralink.raster.scene import read_rows
from terralink.raster.source import Source, open_source
from terralink.vector.osm import read_buildings
from terralink.vector.projection import Extent
from terralink.vectorize.bands import PixelValues, find_scale

Found = TypeVar("Found", RoadGraph, Buildings)
Traced = TypeVar("Traced", covariant=True)

_ROWS = 1024  # a multiple of every usual patch


@dataclass(frozen=True)
class Rules:
    """How to judge: see the options of ``terralink evaluate``."""

    threshold: float | None = None
    patch_px: int = 16
    within_m: float = 4.0
    iou: float = 0.5
    min_area_m2: float = 0.0
    sample: int | None = None
    pixel_size_m: float | None = None


class Band(NamedTuple):
    """Rows (row, col) of both masks, where both are valid, and their grid."""

    truth: Mask
    pred: Mask
    valid: Mask
    grid: Grid


@dataclass(frozen=True)
class Side(Generic[Found]):
    """What a file of a pair holds.

    data       its roads or buildings
    extent     where it lies: around the shapes of a vector file, or all of a raster; a file without
              shapes is nowhere, and belongs to any other
    has_scale  False for a raster without a pixel size: lengths are in pixels
    is_masked  True for a raster that has no valid pixel, of its own or together with the other one
    """

    data: Found
    extent: Extent | None
    has_scale: bool = True
    is_masked: bool = False


def load_masks(pair: Pair, rules: Rules, *, rows: int = _ROWS) -> Iterator[Band]:
    """Both masks in whole-width rows; raises ``InputError`` where they are not of one place."""
    for path in (pair.truth, pair.pred):
        if is_vector(path):
            raise InputError(f"{path} is not a raster: pixels and patches are scored on masks")
    truth, pred = find_grids(pair, rules.pixel_size_m)
    assert truth is not None
    assert pred is not None
    check_one_grid(pair, truth, pred)
    both = zip(
        _read_mask(pair.truth, truth, rules.threshold, rows=rows),
        _read_mask(pair.pred, pred, rules.threshold, rows=rows),
        strict=True,
    )
    for t, p in both:
        yield Band(t.array, p.array, _both_valid(t, p), t.grid)


def load_roads(pair: Pair, rules: Rules) -> tuple[Side[RoadGraph], Side[RoadGraph]]:
    """Roads of both files: of a vector, joined where lines share a point, or traced from a mask.

    Raises ``InputError`` where two rasters, or a raster and a vector, are not of one place.
    """

    def read(path: Path) -> RoadGraph:
        return RoadGraph.from_file(path, noding="vertices")

    return _load_sides(pair, rules, read, vectorize.RoadTracer)


def load_buildings(pair: Pair, rules: Rules) -> tuple[Side[Buildings], Side[Buildings]]:
    """Buildings of both files: polygons, or the pieces of a mask with their outlines as they are.

    Raises ``InputError`` where two rasters, or a raster and a vector, are not of one place.
    """

    def tracer() -> "_Tracer[Buildings]":
        return vectorize.BuildingTracer(
            vectorize.BuildingOptions(neck=0, min_area_m2=0, min_hole_m2=0, right_angles=False)
        )

    return _load_sides(pair, rules, read_buildings, tracer)


class _Tracer(Protocol[Traced]):
    def add(self, band: Raster) -> None: ...
    def finish(self) -> Traced: ...


def _load_sides(
    pair: Pair, rules: Rules, read: Callable[[Path], Found], tracer: Callable[[], _Tracer[Found]]
) -> tuple[Side[Found], Side[Found]]:
    paths = pair.truth, pair.pred
    t_grid, p_grid = find_grids(pair, rules.pixel_size_m)
    if t_grid is not None and p_grid is not None and is_one_grid(t_grid, p_grid):
        truth, pred = _trace_masks(paths, (t_grid, p_grid), rules, tracer)
        return truth, pred
    truth, pred = (
        _vector_side(read(path)) if grid is None else _trace_masks([path], [grid], rules, tracer)[0]
        for path, grid in zip(paths, (t_grid, p_grid), strict=True)
    )
    if t_grid is not None:
        check_vector(pair, pair.truth, t_grid, pred.extent)
    if p_grid is not None:
        check_vector(pair, pair.pred, p_grid, truth.extent)
    return truth, pred


def _vector_side(found: Found) -> Side[Found]:
    return Side(found, _find_extent(found))


def _find_extent(found: RoadGraph | Buildings) -> Extent | None:
    if isinstance(found, RoadGraph):
        return Extent.from_shapes(found.lines, found.crs)
    crs = CRS.from_user_input(found.crs) if found.crs is not None else None
    return Extent.from_shapes(np.asarray(found.geometry, dtype=object), crs)


def _trace_masks(
    paths: Sequence[Path],
    grid_of: Sequence[Grid],
    rules: Rules,
    tracer: Callable[[], _Tracer[Found]],
) -> list[Side[Found]]:
    """Trace masks of one grid: where one of them is not valid, none is."""
    tracers, masked = [tracer() for _ in paths], True
    each = (
        _read_mask(path, grid, rules.threshold) for path, grid in zip(paths, grid_of, strict=True)
    )
    for rows in zip(*each, strict=True):
        valid = _both_valid(*rows)
        masked = masked and not valid.any()
        for one, band in zip(tracers, rows, strict=True):
            one.add(replace(band, valid=valid))
    sides = []
    for one, grid in zip(tracers, grid_of, strict=True):
        found = one.finish()
        extent = Extent(grid.bounds, grid.crs) if _find_extent(found) else None
        measured = rules.pixel_size_m is not None or is_placed(grid)
        sides.append(Side(found, extent, measured, masked))
    return sides


def _read_mask(
    path: Path, grid: Grid, threshold: float | None, *, rows: int = _ROWS
) -> Iterator[Raster]:
    """A mask in whole-width rows on ``grid``, always with what is valid.

    Positive is what is in any band: not zero, or at the threshold and above.
    """
    with open_source(path, expand_palette=False) as source:
        least = None if threshold is None else _least_value(source, threshold)
        row = 0
        for band in read_rows(source, count=rows):
            is_float = band.array.dtype.kind == "f"
            known: Mask = ~np.isnan(band.array) if is_float else np.ones(band.array.shape, bool)
            positive = known & (band.array != 0 if least is None else band.array >= least)
            valid = known.any(axis=0) if band.valid is None else band.valid & known.any(axis=0)
            place = grid.window(row, 0, band.grid.shape)
            yield Raster(np.asarray(positive.any(axis=0)), place, np.asarray(valid))
            row += band.grid.height


def _least_value(source: Source, threshold: float) -> float:
    """The smallest stored value that is positive.

    A threshold below 1 is a probability, and the raster is read as ``vectorize`` reads it; from 1
    on it is a level of bytes. A mask of 0 and 1 is one of 0 and 255 by another name.
    """
    values = PixelValues() if source.scale else PixelValues.from_rasters(read_rows(source))
    whole = source.dtype.kind in "iu"
    if threshold >= 1:
        is_unit_mask = whole and values.distinct is not None and values.distinct <= {0.0, 1.0}
        return (
            min_positive_value(threshold / 255, 1)
            if is_unit_mask and threshold <= 255
            else threshold
        )
    try:
        full = 1 / (source.scale or find_scale(values, threshold=threshold))
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from error
    return min_positive_value(threshold, full) if whole else threshold * full * (1 - 1e-9)


def _both_valid(*bands: Raster) -> Mask:
    each = [band.valid for band in bands if band.valid is not None]
    return np.asarray(np.logical_and.reduce(each))
