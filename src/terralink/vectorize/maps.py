"""Any kind of map of bands of probabilities: found, written and read in one way.

A new kind of map is a tracer, a line in each of the functions here, and a name in ``map_kind``.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from terralink.graph import RoadGraph
from terralink.map_kind import MapKind, class_bands
from terralink.raster import Raster
from terralink.vectorize.buildings.trace import BuildingTracer
from terralink.vectorize.io import write_buildings, write_regions
from terralink.vectorize.landcover import LandcoverTracer
from terralink.vectorize.roads.tracer import RoadTracer

if TYPE_CHECKING:
    import geopandas as gpd

Map: TypeAlias = Union[RoadGraph, "gpd.GeoDataFrame"]


@dataclass(frozen=True)
class MapOptions:
    """How maps are made of probabilities; each kind goes by what it knows.

    threshold        probability from which a pixel is road, or building, or of a single class
    min_spur_m, max_gap_m      of roads, see ``RoadTracer``
    min_area_m2      of buildings and regions; None: 10 and 100
    right_angles     of buildings, see ``BuildingTracer``
    min_probability  of land cover, see ``LandcoverTracer``
    """

    threshold: float = 0.5
    min_spur_m: float = 15.0
    max_gap_m: float = 30.0
    min_area_m2: float | None = None
    right_angles: bool = True
    min_probability: float | None = None


class MapTracer:
    """Makes one kind of map of bands of rows from top to bottom.

    ``classes`` name the bands of probabilities: of them those that show what is wanted are taken.
    None takes them as they are. ``source`` is what an error calls the model or file that they are
    of. Raises ``InputError`` where the classes do not show what is wanted.
    """

    def __init__(
        self,
        kind: MapKind,
        classes: Sequence[str] | None,
        options: MapOptions | None = None,
        *,
        source: str = "the raster",
    ) -> None:
        self.kind = kind
        self._taken = None if classes is None else class_bands(kind, classes, source=source)
        self._tracer = _tracer(kind, classes, options or MapOptions())

    def add(self, band: Raster) -> None:
        """Take the next rows. Raises ``InputError`` when they do not follow those before."""
        several = band.array.ndim == 3 and len(band.array) > 1
        if self._taken is not None and several and self.kind is not MapKind.LANDCOVER:
            parts = [band.array[bands].max(axis=0) for bands in self._taken]
            band = replace(band, array=np.stack(parts))
        self._tracer.add(band)

    def finish(self) -> Map:
        """The map of all rows that came in."""
        return self._tracer.finish()


def _tracer(kind: MapKind, classes: Sequence[str] | None, options: MapOptions) -> Any:
    if kind is MapKind.ROADS:
        return RoadTracer(
            threshold=options.threshold,
            min_spur_m=options.min_spur_m,
            max_gap_m=options.max_gap_m,
        )
    if kind is MapKind.BUILDINGS:
        return BuildingTracer(
            threshold=options.threshold,
            min_area_m2=_or(options.min_area_m2, 10),
            right_angles=options.right_angles,
        )
    return LandcoverTracer(
        classes=classes,
        threshold=options.threshold,
        min_probability=options.min_probability,
        min_area_m2=_or(options.min_area_m2, 100),
    )


def write_map(path: str | os.PathLike[str], found: Map, kind: MapKind) -> None:
    """Write a map with the style of its kind; raises ``InputError`` and ``OutputError``."""
    if isinstance(found, RoadGraph):
        found.to_file(path)
    elif kind is MapKind.BUILDINGS:
        write_buildings(path, found)
    else:
        write_regions(path, found)


def read_map(path: str | os.PathLike[str], kind: MapKind) -> Map:
    """Read back what ``write_map`` wrote as a GeoPackage."""
    if kind is MapKind.ROADS:
        return RoadGraph.from_file(path)
    import geopandas as gpd

    return gpd.read_file(path, layer=kind.value)


def _or(wanted: float | None, usual: float) -> float:
    return usual if wanted is None else wanted
