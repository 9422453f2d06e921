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

from terralink._typing import Ints, Labels
from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import ProbabilityReader, RowTracker, assign_scale
from terralink.vectorize.buildings.edges import measure_blur_px
from terralink.vectorize.buildings.select_shape import select_shapes
from terralink.vectorize.labels import (
    drop_small_holes,
    polygonize,
    split_at_borders,
    split_at_necks,
)
from terralink.vectorize.options import BuildingOptions

if TYPE_CHECKING:
    import geopandas as gpd


_STRIP_ROWS = 512
_BUILDING, _BORDER = 1, 2  # kinds of pixels; a border pixel is between two roofs, 0 is neither
_MIN_TOLERANCE_PX = 1.0  # an outline swings by so much around a straight wall
_SPECK = 0.25  # of the minimum area: smaller components are dropped before they are measured


def trace_buildings(
    prob: Raster, options: BuildingOptions = BuildingOptions()
) -> "gpd.GeoDataFrame":
    """The buildings of a raster of probabilities; see ``BuildingTracer``."""
    tracer = BuildingTracer(options)
    prob = assign_scale(prob, threshold=options.effective_threshold)
    for start in range(0, max(prob.grid.height, 1), _STRIP_ROWS):
        tracer.add(prob.rows(start, min(start + _STRIP_ROWS, prob.grid.height)))
    return tracer.finish()


class BuildingTracer:
    """Traces buildings through a scene whose rows arrive from top to bottom.

        tracer = BuildingTracer(BuildingOptions(threshold=0.4))
        for rows in inference.predict_bands(model, scene):
            tracer.add(rows)
        table = tracer.finish()

    A raster of two bands is the probability of building and the probability of the border between
    buildings that touch. Components are then cut at the border, and at necks only where they have
    no border.

    The table has ``area_m2`` (on the map, in the metric CRS of the grid) and ``prob``, the mean of
    the pixels. Without a CRS, metres are units of the grid. Pixels that are not valid or not a
    number are never building.
    """

    def __init__(self, options: BuildingOptions = BuildingOptions()) -> None:
        threshold, neck = options.effective_threshold, options.neck
        if not 0 < threshold <= 1:
            raise InputError(f"the threshold is between 0 and 1, not {threshold}")
        if not 0 <= neck < 1:
            raise InputError(f"a neck is a share of a width, 0 to below 1, not {neck}")
        self._min_value = min_positive_value(threshold)
        self._reader = ProbabilityReader(threshold)
        self._options = options
        self._rows: RowTracker | None = None
        self._instances: list[_Instances] = []

    def add(self, rows: Raster) -> None:
        """Add the next rows; raises ``InputError`` when they do not follow the ones before."""
        array = rows.array[None] if rows.array.ndim == 2 else rows.array
        if len(array) not in (1, 2):
            raise InputError(
                f"expected one band of probabilities, or two (building, border), not {len(array)}"
            )
        if self._rows is None:
            self._rows, self._pending = RowTracker(rows.grid), _PendingRows.empty(rows.grid.width)
            # the size of the first row, so that the result does not depend on the rows at a time
            across, down = rows.grid.window(0, 0, (1, rows.grid.width)).pixel_size_m
            self._speck_px = _SPECK * self._options.min_area_m2 / (across * down)
        self._rows.append(rows.grid)
        prob = self._reader.read(replace(rows, array=array))
        building, border = prob[0], prob[-1] if len(prob) == 2 else np.zeros_like(prob[0])
        kind = np.where(
            border >= self._min_value, _BORDER, (building >= self._min_value) * _BUILDING
        )
        self._pending = self._pending.append(kind.astype(np.uint8), building)
        if self._pending.is_due:
            self._find_instances(is_last=False)

    def finish(self) -> "gpd.GeoDataFrame":
        """The buildings of all rows, in the order of their first pixels."""
        if self._rows is None:
            return _build_table(np.empty(0, object), np.empty(0), None)
        self._reader.check()
        self._find_instances(is_last=True)
        return self._select_shapes(_Instances.concat(self._instances), self._rows.grid)

    def _find_instances(self, *, is_last: bool) -> None:
        """Find the instances that are complete in the pending rows."""
        components, self._pending = self._pending.take_components(is_last=is_last)
        self._instances.append(self._split_components(*components))

    def _split_components(
        self, labels: Labels, kind: NDArray[np.uint8], prob: NDArray[np.uint8], top: int
    ) -> "_Instances":
        labels = _drop_specks(labels, self._speck_px)
        components = _Instances.from_labels(labels, prob, top, min_value=self._min_value)
        parts = [components]
        is_split = np.zeros(len(components.outline), bool)
        boxes = _find_boxes(labels)
        for number in _find_splittable(components.outline, labels, kind, components.component):
            component = components.component[number]
            box = _pad_box(boxes[component - 1])
            split = self._split(labels[box] == component, kind[box])
            if split.max() > 1:
                is_split[number] = True
                corner = (top + box[0].start, box[1].start)
                part = _Instances.from_labels(split, prob[box], *corner, min_value=self._min_value)
                parts.append(part.with_component(component))
        parts[0] = components.select(~is_split)
        return _Instances.concat(parts)

    def _split(self, component: NDArray[np.bool_], kind: NDArray[np.uint8]) -> Labels:
        border = component & (kind == _BORDER)
        if border.any():
            return split_at_borders(component, border, min_px=self._speck_px)
        return split_at_necks(component, neck=self._options.neck, min_px=self._speck_px)

    def _select_shapes(self, instances: "_Instances", grid: Grid) -> "gpd.GeoDataFrame":
        raw = shapely.transform(
            instances.outline, lambda xy: np.column_stack(grid.metric_xy(xy[:, 0], xy[:, 1]))
        )
        raw = drop_small_holes(raw, self._options.min_hole_m2)
        large = shapely.area(raw) >= self._options.min_area_m2
        pixel_m = max(grid.pixel_size_m)
        shapes = select_shapes(
            raw[large],
            instances.component[large],
            blur_m=instances.blur_px[large] * pixel_m,
            simplify_m=max(self._options.simplify_m, _MIN_TOLERANCE_PX * pixel_m),
            pixel_m=pixel_m,
            right_angles=self._options.right_angles,
        )
        return _build_table(shapes, instances.prob[large], grid)


@dataclass(frozen=True, eq=False)
class _PendingRows:
    """Rows whose components may continue below: the kind of each pixel, and its probability.

    top       the row of the scene that is the first one here
    new_rows  rows that were added since components were last searched
    """

    kind: Sequence[NDArray[np.uint8]]
    prob: Sequence[NDArray[np.uint8]]
    top: int
    new_rows: int

    @classmethod
    def empty(cls, width: int) -> "_PendingRows":
        rows = [np.zeros((0, width), np.uint8)]
        return cls(rows, rows, 0, 0)

    def append(self, kind: NDArray[np.uint8], prob: NDArray[np.uint8]) -> "_PendingRows":
        new_rows = self.new_rows + len(kind)
        return _PendingRows([*self.kind, kind], [*self.prob, prob], self.top, new_rows)

    @property
    def is_due(self) -> bool:
        """Whether there are as many new rows as old ones: so the total work is linear."""
        return self.new_rows >= max(_STRIP_ROWS, sum(map(len, self.kind)) - self.new_rows)

    def take_components(
        self, *, is_last: bool
    ) -> tuple[tuple[Labels, NDArray[np.uint8], NDArray[np.uint8], int], "_PendingRows"]:
        """Labels of the complete components, with their rows; and the rows that stay pending."""
        kind, prob = np.concatenate(self.kind), np.concatenate(self.prob)
        labels, count = ndimage.label(kind)
        continues = np.zeros(count + 1, bool)
        if len(labels) and not is_last:
            continues[labels[-1]] = True
            continues[0] = False
        boxes = _find_boxes(labels)
        starts = [boxes[label - 1][0].start for label in np.flatnonzero(continues)]
        # one row more, because the blur at the first row of a component is measured with it
        start = max(min(starts, default=len(kind)) - 1, 0)
        waits = continues[labels[start:]]
        labels[start:][waits] = 0
        pending_kind = np.where(waits, kind[start:], 0)
        pending = _PendingRows([pending_kind], [prob[start:].copy()], self.top + start, 0)
        return (labels, kind, prob, self.top), pending


@dataclass(frozen=True, eq=False)
class _Instances:
    """Outlines in pixels of the scene; of each the mean probability, the component and the blur."""

    outline: NDArray[np.object_]
    prob: NDArray[np.float64]
    component: Ints
    blur_px: NDArray[np.float64]

    @classmethod
    def from_labels(
        cls, labels: Labels, prob: NDArray[np.uint8], row: int, col: int = 0, *, min_value: int
    ) -> "_Instances":
        """``row`` and ``col`` are the place of the first pixel in the scene."""
        polygons, numbers = polygonize(labels)
        inside = labels > 0
        label = labels[inside]
        total = np.bincount(label, prob[inside], minlength=1)
        count = np.bincount(label, minlength=1)
        return cls(
            shapely.transform(polygons, lambda xy: xy + np.array([col, row])),
            total[numbers] / np.maximum(count[numbers], 1) / 255,
            numbers,
            measure_blur_px(labels, prob, min_value=min_value)[numbers],
        )

    @classmethod
    def concat(cls, parts: "Sequence[_Instances]") -> "_Instances":
        """All instances, in the order of their first pixels, with new numbers of components."""
        shifts = np.cumsum([0, *(part.component.max(initial=0) + 1 for part in parts)])
        component = [part.component + shift for part, shift in zip(parts, shifts, strict=False)]
        outline = np.concatenate([part.outline for part in parts])
        prob = np.concatenate([part.prob for part in parts])
        blur_px = np.concatenate([part.blur_px for part in parts])
        first = shapely.get_coordinates(shapely.get_point(shapely.get_exterior_ring(outline), 0))
        order = np.lexsort((first[:, 0], first[:, 1]))
        return cls(outline, prob, np.concatenate(component), blur_px).select(order)

    def with_component(self, component: int) -> "_Instances":
        return replace(self, component=np.full_like(self.component, component))

    def select(self, rows: NDArray[np.bool_] | Ints) -> "_Instances":
        outline, component = self.outline[rows], self.component[rows]
        return _Instances(outline, self.prob[rows], component, self.blur_px[rows])


def _find_boxes(labels: Labels) -> list[tuple[slice, slice]]:
    """The rows and columns of each label; SciPy fails for an array without rows."""
    return ndimage.find_objects(labels) if labels.size else []


def _pad_box(box: tuple[slice, slice]) -> tuple[slice, slice]:
    """A pixel more on all sides, where there is one."""
    rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    return rows, cols


def _drop_specks(labels: Labels, min_px: float) -> Labels:
    pixels = np.bincount(labels.ravel())
    small = (pixels < min_px) & (pixels > 0)
    return np.where(small[labels], 0, labels) if small.any() else labels


def _find_splittable(
    outline: NDArray[np.object_], labels: Labels, kind: NDArray[np.uint8], component: Ints
) -> Ints:
    """The components that a border crosses, or whose shape may have a neck.

    The pixel steps of a convex shape are nowhere as deep as the diagonal of a pixel; beside a neck
    the outline is deeper.
    """
    with_border = np.unique(labels[kind == _BORDER])
    outer, hull = shapely.get_exterior_ring(outline), shapely.convex_hull(outline)
    deep = shapely.hausdorff_distance(outer, shapely.get_exterior_ring(hull)) >= np.sqrt(2)
    has_holes = shapely.get_num_interior_rings(outline) > 0
    return np.flatnonzero(deep | has_holes | np.isin(component, with_border))


def _build_table(
    shapes: NDArray[np.object_], prob: NDArray[np.float64], grid: Grid | None
) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    columns = {"area_m2": shapely.area(shapes), "prob": prob}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=grid.metric_crs if grid else None)
