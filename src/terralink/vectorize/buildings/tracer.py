"""Probability of building to polygons with right angles, streaming.

    rows -> mask -> components -> instances -> outlines -> walls -> polygons

A component that reaches the last row waits until it is whole, so the polygons do not depend on the
rows that arrive at a time. Memory is that of the tallest component, and of the buildings found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import Bands, ProbabilityReader, scaled
from terralink.vectorize.buildings.edges import blurs_px
from terralink.vectorize.buildings.select_shape import fitted
from terralink.vectorize.labels import (
    outlines,
    split_at_borders,
    split_at_necks,
    without_small_holes,
)
from terralink.vectorize.options import BuildingOptions

if TYPE_CHECKING:
    import geopandas as gpd

Ints = NDArray[np.int64]

_STRIP_ROWS = 512
_BORDER = 2  # the kind of a pixel on the border between two roofs; 1 is roof, 0 is neither
_LEAST_PX = 1.0  # outlines swing by so much around a straight wall
_SPECK = 0.25  # of the least area: smaller pieces are left out before they are measured


def trace_buildings(
    prob: Raster,
    options: BuildingOptions = BuildingOptions(),
) -> "gpd.GeoDataFrame":
    """The buildings of a raster of probabilities; see ``BuildingTracer``."""
    tracer = BuildingTracer(options)
    prob = scaled(prob, threshold=options.effective_threshold)
    for start in range(0, max(prob.grid.height, 1), _STRIP_ROWS):
        tracer.add(prob.rows(start, min(start + _STRIP_ROWS, prob.grid.height)))
    return tracer.finish()


class BuildingTracer:
    """Finds buildings in a scene that comes in bands of whole rows, from top to bottom.

        tracer = BuildingTracer(BuildingOptions(threshold=0.4))
        for band in inference.bands(model, scene):
            tracer.add(band)
        table = tracer.finish()

    A raster of two bands is the probability of building and that of the border between buildings
    that touch; such are then cut there, and at necks only where no border is.

    The table has ``area_m2`` (on the map, in the grid's metric CRS) and ``prob``, the mean over the
    pixels. Where there is no CRS, metres are units of the grid. Pixels that are not valid or not a
    number are never building.
    """

    def __init__(self, options: BuildingOptions = BuildingOptions()) -> None:
        threshold, neck = options.effective_threshold, options.neck
        if not 0 < threshold <= 1:
            raise InputError(f"the threshold is between 0 and 1, not {threshold}")
        if not 0 <= neck < 1:
            raise InputError(f"a neck is a share of a width, 0 to below 1, not {neck}")
        self._least = min_positive_value(threshold)
        self._reader = ProbabilityReader(threshold)
        self._options = options
        self._bands: Bands | None = None
        self._found: list[_Found] = []

    def add(self, band: Raster) -> None:
        """Take the next rows. Raises ``InputError`` when they do not follow those before."""
        prob = band.array[None] if band.array.ndim == 2 else band.array
        if len(prob) not in (1, 2):
            raise InputError(
                f"one band of probabilities is wanted, or two (building, border), not {len(prob)}"
            )
        if self._bands is None:
            self._bands, self._held = Bands(band.grid), _Held.none(band.grid.width)
            # of the first row alone: the bands must not matter
            across, down = band.grid.window(0, 0, (1, band.grid.width)).pixel_size_m
            self._speck_px = _SPECK * self._options.min_area_m2 / (across * down)
        self._bands.follow(band.grid)
        level = self._reader.read(replace(band, array=prob))
        building, border = level[0], level[-1] if len(level) == 2 else np.zeros_like(level[0])
        kind = np.where(border >= self._least, _BORDER, building >= self._least).astype(np.uint8)
        self._held = self._held.followed(kind, building)
        if self._held.enough:
            self._take(whole=False)

    def finish(self) -> "gpd.GeoDataFrame":
        """The buildings of all rows that came in, in the order of their first pixels."""
        if self._bands is None:
            return _table(np.empty(0, object), np.empty(0), None)
        self._reader.check()
        self._take(whole=True)
        return self._polygons(_Found.joined(self._found), self._bands.grid)

    def _take(self, *, whole: bool) -> None:
        """Find what is whole in the rows that are held."""
        labels, self._held = self._held.pieces(whole=whole)
        self._found.append(self._roofs(*labels))

    def _roofs(
        self, labels: NDArray[np.int32], kind: NDArray[np.uint8], level: NDArray[np.uint8], top: int
    ) -> "_Found":
        """The roofs of pieces."""
        labels = _without_specks(labels, self._speck_px)
        whole = _Found.of(labels, level, top, least=self._least)
        found = [whole]
        apart = np.zeros(len(whole.outline), bool)
        boxes = _boxes(labels)
        for number in _splittable(whole.outline, labels, kind, whole.piece):
            box = _with_rim(boxes[whole.piece[number] - 1])
            parts = self._split(labels[box] == whole.piece[number], kind[box])
            if parts.max() > 1:
                apart[number] = True
                place = (top + box[0].start, box[1].start)
                roofs = _Found.of(parts, level[box], *place, least=self._least)
                found.append(roofs.of_piece(whole.piece[number]))
        found[0] = whole.kept(~apart)
        return _Found.joined(found)

    def _split(self, piece: NDArray[np.bool_], kind: NDArray[np.uint8]) -> NDArray[np.int32]:
        border = piece & (kind == _BORDER)
        if border.any():
            return split_at_borders(piece, border, least_px=self._speck_px)
        return split_at_necks(piece, neck=self._options.neck, least_px=self._speck_px)

    def _polygons(self, found: "_Found", grid: Grid) -> "gpd.GeoDataFrame":
        raw = shapely.transform(
            found.outline, lambda xy: np.column_stack(grid.metric_xy(xy[:, 0], xy[:, 1]))
        )
        raw = without_small_holes(raw, self._options.min_hole_m2)
        large = shapely.area(raw) >= self._options.min_area_m2
        stair_m = max(grid.pixel_size_m)
        shapes = fitted(
            raw[large],
            found.piece[large],
            blur_m=found.blur_px[large] * stair_m,
            simplify_m=max(self._options.simplify_m, _LEAST_PX * stair_m),
            stair_m=stair_m,
            right_angles=self._options.right_angles,
        )
        return _table(shapes, found.prob[large], grid)


@dataclass(frozen=True, eq=False)
class _Held:
    """Rows whose pieces may go on below: ``kind`` (0, 1 or _BORDER) and probability, 0..255.

    top    the scene's row that is the first one here
    fresh  rows that came since pieces were last looked for
    """

    kind: Sequence[NDArray[np.uint8]]
    level: Sequence[NDArray[np.uint8]]
    top: int
    fresh: int

    @classmethod
    def none(cls, width: int) -> "_Held":
        nothing = [np.zeros((0, width), np.uint8)]
        return cls(nothing, nothing, 0, 0)

    def followed(self, kind: NDArray[np.uint8], level: NDArray[np.uint8]) -> "_Held":
        return _Held([*self.kind, kind], [*self.level, level], self.top, self.fresh + len(kind))

    @property
    def enough(self) -> bool:
        """As many new rows as old ones: then all looking together is linear in the scene."""
        return self.fresh >= max(_STRIP_ROWS, sum(map(len, self.kind)) - self.fresh)

    def pieces(
        self, *, whole: bool
    ) -> tuple[tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.uint8], int], "_Held"]:
        """Labels of the pieces that are whole, with their rows; and what is held on to."""
        kind, level = np.concatenate(self.kind), np.concatenate(self.level)
        labels, count = ndimage.label(kind)
        goes_on = np.zeros(count + 1, bool)
        if len(labels) and not whole:
            goes_on[labels[-1]] = True
            goes_on[0] = False
        boxes = _boxes(labels)
        starts = [boxes[piece - 1][0].start for piece in np.flatnonzero(goes_on)]
        # a row more, that it is known how steep the edge is where a piece begins
        start = max(min(starts, default=len(kind)) - 1, 0)
        waits = goes_on[labels[start:]]
        labels[start:][waits] = 0
        held_kind = np.where(waits, kind[start:], 0)
        held = _Held([held_kind], [level[start:].copy()], self.top + start, 0)
        return (labels, kind, level, self.top), held


@dataclass(frozen=True, eq=False)
class _Found:
    """Outlines in the scene's pixels; of each its mean probability, its piece, and its blur."""

    outline: NDArray[np.object_]
    prob: NDArray[np.float64]
    piece: Ints
    blur_px: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        labels: NDArray[np.int32],
        level: NDArray[np.uint8],
        row: int,
        col: int = 0,
        *,
        least: int,
    ) -> "_Found":
        polygons, numbers = outlines(labels)
        inside = labels > 0
        of_pixel = labels[inside]
        total = np.bincount(of_pixel, level[inside], minlength=1)
        count = np.bincount(of_pixel, minlength=1)
        return cls(
            shapely.transform(polygons, lambda xy: xy + np.array([col, row])),
            total[numbers] / np.maximum(count[numbers], 1) / 255,
            numbers,
            blurs_px(labels, level, least=least)[numbers],
        )

    @classmethod
    def joined(cls, several: "Sequence[_Found]") -> "_Found":
        """All of them, in the order of their first pixels, their pieces numbered anew."""
        shifts = np.cumsum([0, *(some.piece.max(initial=0) + 1 for some in several)])
        pieces = [some.piece + shift for some, shift in zip(several, shifts, strict=False)]
        outline = np.concatenate([some.outline for some in several])
        prob = np.concatenate([some.prob for some in several])
        blur_px = np.concatenate([some.blur_px for some in several])
        first = shapely.get_coordinates(shapely.get_point(shapely.get_exterior_ring(outline), 0))
        order = np.lexsort((first[:, 0], first[:, 1]))
        return cls(outline, prob, np.concatenate(pieces), blur_px).kept(order)

    def of_piece(self, piece: int) -> "_Found":
        return replace(self, piece=np.full_like(self.piece, piece))

    def kept(self, which: NDArray[np.bool_] | Ints) -> "_Found":
        return _Found(self.outline[which], self.prob[which], self.piece[which], self.blur_px[which])


def _boxes(labels: NDArray[np.int32]) -> list[tuple[slice, slice]]:
    """The rows and columns of each label; SciPy knows no array without rows."""
    return ndimage.find_objects(labels) if labels.size else []


def _with_rim(box: tuple[slice, slice]) -> tuple[slice, slice]:
    """A pixel more on all sides; what is beyond the last row or column is cut off by NumPy."""
    rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    return rows, cols


def _without_specks(labels: NDArray[np.int32], least_px: float) -> NDArray[np.int32]:
    pixels = np.bincount(labels.ravel())
    small = (pixels < least_px) & (pixels > 0)
    return np.where(small[labels], 0, labels) if small.any() else labels


def _splittable(
    outline: NDArray[np.object_], labels: NDArray[np.int32], kind: NDArray[np.uint8], piece: Ints
) -> Ints:
    """Those that a border crosses, or whose shape leaves room for a neck.

    The stairs of a convex shape are nowhere as deep as a pixel's diagonal, beside a neck they are.
    """
    bordered = np.unique(labels[kind == _BORDER])
    outer, hull = shapely.get_exterior_ring(outline), shapely.convex_hull(outline)
    dents = shapely.hausdorff_distance(outer, shapely.get_exterior_ring(hull)) >= np.sqrt(2)
    open_inside = shapely.get_num_interior_rings(outline) > 0
    return np.flatnonzero(dents | open_inside | np.isin(piece, bordered))


def _table(
    shapes: NDArray[np.object_], prob: NDArray[np.float64], grid: Grid | None
) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    columns = {"area_m2": shapely.area(shapes), "prob": prob}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=grid.metric_crs if grid else None)
