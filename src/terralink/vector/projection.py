"""Shapes brought from one CRS to another, into metres, and the extents of maps."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from terralink.errors import GraphError, InputError
from terralink.raster.grid import WGS84, Grid

Lines = NDArray[np.object_]
Floats = NDArray[np.float64]

_STEPS = 16  # sides are cut so often before they are bent into another CRS


def to_metric(lines: Lines, crs: CRS | None) -> tuple[Lines, CRS | None]:
    """The lines in the metric CRS of their centre, and that CRS; no lines have no centre."""
    if crs is None or shapely.is_empty(lines).all():
        return lines, crs
    _check_degrees(lines, crs)
    lines = unwrap_longitudes(lines, crs)
    metric = _metric_crs(lines, crs)
    if metric != crs and crs.is_projected:  # such as Web Mercator, which ends at 180 degrees
        lonlat = reproject(lines, crs, WGS84)
        onward = unwrap_longitudes(lonlat, WGS84)
        if onward is not lonlat:
            lines, crs, metric = onward, WGS84, _metric_crs(onward, WGS84)
    result = reproject(lines, crs, metric)
    if not np.isfinite(shapely.get_coordinates(result)).all():
        raise GraphError(f"coordinates are not of {crs.to_string()}: give the right crs")
    return result, metric


def _metric_crs(lines: Lines, crs: CRS) -> CRS:
    """The CRS to measure in at the middle of the lines."""
    left, bottom, right, top = shapely.total_bounds(lines)
    corner = Affine.translation((left + right - 1) / 2, (bottom + top - 1) / 2)
    metric = Grid((1, 1), corner, crs).metric_crs
    assert metric is not None
    return metric


def unwrap_longitudes(shapes: Lines, crs: CRS | None) -> Lines:
    """The shapes, counted on past 180 degrees where they lie on both sides of it, as Fiji does.

    They do where they reach less than half around the world that way, and more the other. Equal
    points stay equal, and one at -180 degrees becomes the one at 180 that it is.
    """
    if crs is None or not crs.is_geographic:
        return shapes
    xy = shapely.get_coordinates(shapes)
    if not len(xy):
        return shapes
    turn = round(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 6)  # 360, or 400 gon
    onward = np.where(xy[:, 0] < 0, xy[:, 0] + turn, xy[:, 0])
    if not np.ptp(onward) < turn / 2 < np.ptp(xy[:, 0]):
        return shapes
    xy[:, 0] = onward
    return np.asarray(shapely.set_coordinates(shapes.copy(), xy), dtype=object)


def reproject(lines: Lines, crs: CRS, to: CRS) -> Lines:
    """Geometries brought from ``crs`` to ``to``; equal points stay equal."""
    if crs == to:
        return lines
    xy = reproject_points(shapely.get_coordinates(lines), crs, to)
    return np.asarray(shapely.set_coordinates(lines.copy(), xy), dtype=object)


def reproject_points(points: Floats, crs: CRS, to: CRS) -> Floats:
    """(k, 2) points from ``crs`` to ``to``."""
    there = Transformer.from_crs(crs, to, always_xy=True)
    return np.column_stack(there.transform(*points.T))


def _check_degrees(lines: Lines, crs: CRS) -> None:
    if not crs.is_geographic:
        return
    left, bottom, right, top = (round(float(side), 3) for side in shapely.total_bounds(lines))
    if not (-360 <= left <= right <= 360 and -90 <= bottom <= top <= 90):
        raise GraphError(
            f"coordinates {left, bottom} to {right, top} are not degrees of {crs.to_string()}; "
            "give the crs they are in (GeoJSON that names none is longitude and latitude)"
        )


@dataclass(frozen=True)
class Extent:
    """The box (left, bottom, right, top) around what is there, in units of ``crs``.

    >>> print(Extent((600000.0, 4000000.0, 600400.0, 4000100.0), CRS.from_epsg(32611)))
    (600000, 4000000, 600400, 4000100) of EPSG:32611
    """

    bounds: tuple[float, float, float, float]
    crs: CRS | None

    @classmethod
    def of(cls, shapes: NDArray[np.object_], crs: CRS | None) -> "Extent | None":
        """Around ``shapes`` (k,), None where there are none."""
        if shapely.is_empty(shapes).all():  # of none, too
            return None
        placed = unwrap_longitudes(shapes, crs)
        left, bottom, right, top = (float(side) for side in shapely.total_bounds(placed))
        return None if np.isnan(left) else cls((left, bottom, right, top), crs)

    def __str__(self) -> str:
        digits = 5 if self.crs is not None and self.crs.is_geographic else 0
        sides = ", ".join(f"{side:.{digits}f}" for side in self.bounds)
        if self.crs is None:
            return f"({sides}) without a CRS"
        authority = self.crs.to_authority()
        return f"({sides}) of {':'.join(authority) if authority else self.crs.name}"

    def is_disjoint(self, other: "Extent", within_m: float) -> bool:
        """Whether the other one is further away than ``within_m``; both have a CRS or neither."""
        here, metric = to_metric(self._outline(), self.crs)
        there = other._outline()
        if metric is not None and other.crs is not None:
            there = reproject(there, other.crs, metric)
        sides = shapely.bounds(np.concatenate([here, there]))
        if not np.isfinite(sides).all():
            return True  # a place that the CRS of the one does not have
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
    """Raise ``InputError`` where both are somewhere, further apart than ``within_m``."""
    if truth and pred and truth.is_disjoint(pred, within_m):
        raise InputError(disjoint_message(truth, pred, names=names))


def disjoint_message(
    truth: Extent, pred: Extent, *, names: tuple[str, str] = ("truth", "prediction")
) -> str:
    """The line about two places that are apart."""
    return (
        f"{names[0]} and {names[1]} do not overlap: {names[0]} is at {truth}, {names[1]} at {pred};"
        " are they of the same place, in the CRS that they say?"
    )
