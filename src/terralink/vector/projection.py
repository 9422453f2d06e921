"""Geometries projected from one CRS to another, and the extents of maps."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink._typing import Floats
from terralink.errors import GraphError, InputError
from terralink.raster.grid import WGS84, Grid

Lines = NDArray[np.object_]

_STEPS = 16  # segments of a side, since it may be a curve in another CRS


def to_metric(lines: Lines, crs: CRS | None) -> tuple[Lines, CRS | None]:
    """Geometries (m,) in the metric CRS of their centre, and that CRS.

    Without a CRS, and without geometries, they are returned as they are. Raises ``GraphError`` for
    coordinates outside ``crs``.
    """
    if crs is None or shapely.is_empty(lines).all():
        return lines, crs
    _check_degrees(lines, crs)
    lines = unwrap_longitudes(lines, crs)
    metric = _metric_crs(lines, crs)
    if metric != crs and crs.is_projected:  # such as Web Mercator, which ends at 180 degrees
        lonlat = reproject(lines, crs, WGS84)
        unwrapped = unwrap_longitudes(lonlat, WGS84)
        if unwrapped is not lonlat:
            lines, crs, metric = unwrapped, WGS84, _metric_crs(unwrapped, WGS84)
    result = reproject(lines, crs, metric)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise GraphError(f"coordinates are not of {crs.to_string()}: give the right crs")
    return result, metric


def _metric_crs(lines: Lines, crs: CRS) -> CRS:
    """The metric CRS at the centre of the lines."""
    left, bottom, right, top = shapely.total_bounds(lines)
    corner = Affine.translation((left + right - 1) / 2, (bottom + top - 1) / 2)
    metric = Grid((1, 1), corner, crs).metric_crs
    assert metric is not None
    return metric


def unwrap_longitudes(shapes: Lines, crs: CRS | None) -> Lines:
    """Shapes on both sides of 180 degrees (Fiji) with longitudes that continue beyond 180.

    Shapes lie on both sides if their extent is less than half of the Earth that way and more than
    half the other way. Equal points stay equal; -180 degrees become 180.
    """
    if crs is None or not crs.is_geographic:
        return shapes
    xy = shapely.get_coordinates(shapes)
    if not len(xy):
        return shapes
    turn = round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 6)  # 360, or 400 gon
    unwrapped = np.where(xy[:, 0] < 0, xy[:, 0] + turn, xy[:, 0])
    if not np.ptp(unwrapped) < turn / 2 < np.ptp(xy[:, 0]):
        return shapes
    xy[:, 0] = unwrapped
    return np.asarray(shapely.set_coordinates(shapes.copy(), xy), dtype=object)


def reproject(lines: Lines, crs: CRS, to: CRS) -> Lines:
    """Geometries projected from ``crs`` to ``to``; equal points stay equal."""
    if crs == to:
        return lines
    xy = reproject_points(shapely.get_coordinates(lines), crs, to)
    return np.asarray(shapely.set_coordinates(lines.copy(), xy), dtype=object)


def reproject_points(points: Floats, crs: CRS, to: CRS) -> Floats:
    """(k, 2) points projected from ``crs`` to ``to``."""
    transformer = Transformer.from_crs(crs, to, always_xy=True)
    return np.column_stack(transformer.transform(*points.T))


def _check_degrees(lines: Lines, crs: CRS) -> None:
    if not crs.is_geographic:
        return
    left, bottom, right, top = (round(float(side), 3) for side in shapely.total_bounds(lines))
    if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise GraphError(
            f"coordinates {left, bottom} to {right, top} are not degrees of {crs.to_string()}; "
            "give the crs they are in (GeoJSON without one is longitude and latitude)"
        )


@dataclass(frozen=True)
class Extent:
    """The box (left, bottom, right, top) around shapes, in units of ``crs``.

    >>> print(Extent((600000.0, 4000000.0, 600400.0, 4000100.0), CRS.from_epsg(32611)))
    (600000, 4000000, 600400, 4000100) of EPSG:32611
    """

    bounds: tuple[float, float, float, float]
    crs: CRS | None

    @classmethod
    def from_shapes(cls, shapes: NDArray[np.object_], crs: CRS | None) -> "Extent | None":
        """The extent of ``shapes`` (k,); None where all are missing or empty."""
        if shapely.is_empty(shapes).all():  # true without shapes, too
            return None
        unwrapped = unwrap_longitudes(shapes, crs)
        left, bottom, right, top = (float(side) for side in shapely.total_bounds(unwrapped))
        return None if np.isnan(left) else cls((left, bottom, right, top), crs)

    def __str__(self) -> str:
        digits = 5 if self.crs is not None and self.crs.is_geographic else 0
        sides = ", ".join(f"{side:.{digits}f}" for side in self.bounds)
        if self.crs is None:
            return f"({sides}) without a CRS"
        authority = self.crs.to_authority()
        return f"({sides}) of {':'.join(authority) if authority else self.crs.name}"

    def is_disjoint(self, other: "Extent", within_m: float) -> bool:
        """Whether ``other`` is more than ``within_m`` away; both have a CRS, or neither has."""
        outline, metric = to_metric(self._outline(), self.crs)
        other_outline = other._outline()
        if metric is not None and other.crs is not None:
            other_outline = reproject(other_outline, other.crs, metric)
        sides = shapely.bounds(np.concatenate([outline, other_outline]))
        if not np.isfinite(sides).all():
            return True  # the other extent lies outside the CRS of this one
        return not shapely.dwithin(*shapely.box(*sides.T), within_m)

    def _outline(self) -> NDArray[np.object_]:
        left, bottom, right, top = self.bounds
        step = max(right - left, top - bottom) / _STEPS
        ring = shapely.LinearRing(
            [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        )
        return np.array([shapely.segmentize(ring, step) if step else ring], dtype=object)


def check_overlap(
    truth: Extent | None,
    pred: Extent | None,
    within_m: float = 0.0,
    *,
    names: tuple[str, str] = ("truth", "prediction"),
) -> None:
    """Raise ``InputError`` for extents more than ``within_m`` apart; None overlaps with any."""
    if truth and pred and truth.is_disjoint(pred, within_m):
        raise InputError(disjoint_message(truth, pred, names=names))


def disjoint_message(
    truth: Extent, pred: Extent, *, names: tuple[str, str] = ("truth", "prediction")
) -> str:
    """The error text for two extents that do not overlap."""
    return (
        f"{names[0]} and {names[1]} do not overlap: {names[0]} is at {truth}, {names[1]} at {pred};"
        " are they of the same place, in the CRS that they say?"
    )
