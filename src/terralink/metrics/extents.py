"""Where truth and prediction lie: a zero between two places would tell of the files."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from terralink.errors import InputError
from terralink.graph.lines import in_metres, reprojected, unwrapped

_STEPS = 16  # sides are cut so often before they are bent into another CRS


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
        placed = unwrapped(shapes, crs)
        left, bottom, right, top = (float(side) for side in shapely.total_bounds(placed))
        return None if np.isnan(left) else cls((left, bottom, right, top), crs)

    def __str__(self) -> str:
        digits = 5 if self.crs is not None and self.crs.is_geographic else 0
        sides = ", ".join(f"{side:.{digits}f}" for side in self.bounds)
        if self.crs is None:
            return f"({sides}) without a CRS"
        authority = self.crs.to_authority()
        return f"({sides}) of {':'.join(authority) if authority else self.crs.name}"

    def is_apart(self, other: "Extent", within_m: float) -> bool:
        """Whether the other one is further away than ``within_m``; both have a CRS or neither."""
        here, metric = in_metres(self._outline(), self.crs)
        there = other._outline()
        if metric is not None and other.crs is not None:
            there = reprojected(there, other.crs, metric)
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
    if truth and pred and truth.is_apart(pred, within_m):
        raise InputError(told_apart(truth, pred, names=names))


def told_apart(
    truth: Extent, pred: Extent, *, names: tuple[str, str] = ("truth", "prediction")
) -> str:
    """The line about two places that are apart."""
    return (
        f"{names[0]} and {names[1]} do not overlap: {names[0]} is at {truth}, {names[1]} at {pred};"
        " are they of the same place, in the CRS that they say?"
    )
