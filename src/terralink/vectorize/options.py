"""The options of each kind of map, with their defaults; lengths are metres on the ground.

Where a raster has no CRS, lengths and areas are in the unit of its grid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, TypeAlias

from terralink.errors import InputError
from terralink.map_kind import MapKind

DEFAULT_THRESHOLD = 0.5  # of a raster; a model has its own


@dataclass(frozen=True)
class _ThresholdOptions:
    """What all kinds of map have: a threshold, which is chosen or that of the model.

    threshold  pixels of this probability and more are positive; None: the model's, else 0.5
    """

    threshold: float | None = None

    @property
    def effective_threshold(self) -> float:
        """The threshold that was chosen, else the default."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold

    def with_default_threshold(self, threshold: float) -> Self:
        """The same options with this threshold, unless one was chosen."""
        return replace(self, threshold=threshold) if self.threshold is None else self


@dataclass(frozen=True)
class RoadOptions(_ThresholdOptions):
    """How roads are traced.

    threshold       pixels of this probability and more are road; None: the model's, else 0.5
    weak_threshold  pixels down to this probability are road too where they are connected to one
                    above ``threshold``; None: no such pixels
    min_spur_m      dead ends that are shorter are removed, and those shorter than their road is
                    wide
    max_gap_m       dead ends that point at each other, or at a road, are joined over this distance;
                    over twice that where the probability between is just below the threshold, over
                    half where it is zero; a mask of 0 and 255 has no probabilities in its gaps
    min_component_m     connected components of roads whose total length is shorter are removed
    simplify_m      lines stay this close to the smoothed centre line
    """

    kind: ClassVar[MapKind] = MapKind.ROADS

    weak_threshold: float | None = None
    min_spur_m: float = 15.0
    max_gap_m: float = 30.0
    min_component_m: float = 30.0
    simplify_m: float = 1.0

    @property
    def effective_weak_threshold(self) -> float:
        """The weak threshold that was chosen, else the threshold.

        Raises ``InputError`` where the two are not in order.
        """
        strong = self.effective_threshold
        weak = strong if self.weak_threshold is None else self.weak_threshold
        if not 0 < weak <= strong <= 1:
            raise InputError(
                f"thresholds are 0 < weak_threshold <= threshold <= 1, not {weak} and {strong}"
            )
        return weak


@dataclass(frozen=True)
class BuildingOptions(_ThresholdOptions):
    """How buildings are traced.

    threshold     pixels of this probability and more are building; None: the model's, else 0.5
    neck          a shape is cut in two where it is narrower than this share of its width; 0: never
    min_area_m2   smaller buildings are removed
    min_hole_m2   smaller holes are filled
    simplify_m    outlines stay about this close to the pixels, or a pixel where that is more
    right_angles  make walls straight and corners right-angled where this fits; False: simplify only
    """

    kind: ClassVar[MapKind] = MapKind.BUILDINGS

    neck: float = 0.5
    min_area_m2: float = 10.0
    min_hole_m2: float = 5.0
    simplify_m: float = 0.6
    right_angles: bool = True


@dataclass(frozen=True)
class LandcoverOptions(_ThresholdOptions):
    """How land cover is made of the probabilities of classes.

    threshold        of a single class: pixels of this probability and more are of it; None: the
                     model's, else 0.5
    min_probability  pixels whose largest probability is lower have no class; None: all have one
    min_area_m2      smaller regions are merged into a neighbour
    simplify_m       shared edges are simplified once for both sides: triangles of less than the
                     square of this are cut off (Visvalingam and Whyatt 1993); 0 keeps the pixels
    """

    kind: ClassVar[MapKind] = MapKind.LANDCOVER

    min_probability: float | None = None
    min_area_m2: float = 100.0
    simplify_m: float = 1.0


MapOptions: TypeAlias = RoadOptions | BuildingOptions | LandcoverOptions
MAP_OPTIONS: Mapping[MapKind, type[MapOptions]] = {
    options.kind: options for options in (RoadOptions, BuildingOptions, LandcoverOptions)
}


def options_for(kind: MapKind, **values: Any) -> MapOptions:
    """The options of one kind of map; values that are None, or that it has not, are left out.

    >>> options_for(MapKind.BUILDINGS, min_area_m2=20.0, max_gap_m=40.0, threshold=None)
    BuildingOptions(threshold=None, neck=0.5, min_area_m2=20.0, min_hole_m2=5.0, simplify_m=0.6, \
right_angles=True)
    """
    options = MAP_OPTIONS[kind]
    known = {field.name for field in fields(options)}
    return options(**{k: each for k, each in values.items() if k in known and each is not None})
