"""Classes to land cover: polygons without gaps or overlaps, whose neighbours share their edges.

    classes -> regions -> slivers merged -> polygons that share their points -> simplified together

A region is what hangs together by sides of pixels. All is done on one raster in memory; a sliver
is a region smaller than the least area, and goes to the neighbour with the longest shared edge.
Probabilities become classes as they come: a byte a pixel, however many bands there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import Bands, ProbabilityReader
from terralink.vectorize.labels import polygonize
from terralink.vectorize.options import LandcoverOptions

if TYPE_CHECKING:
    import geopandas as gpd

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Labels = NDArray[np.int32]

_NO_CLASS = 255  # of a pixel that no polygon is to have
_ROWS = 64  # become classes at a time


class LandcoverTracer:
    """Finds land cover in class probabilities that come in bands of whole rows.

        tracer = LandcoverTracer(classes=model.metadata.classes)
        for band in inference.predict_bands(model, scene):
            tracer.add(band)
        table = tracer.finish()

    ``classes`` are the names of the bands, in their order; None where they have none.

    The class of a pixel is the band of the largest probability, counted from 0. One band alone is
    class 1, and what is not of it is in no polygon.
    """

    def __init__(
        self,
        options: LandcoverOptions = LandcoverOptions(),
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        threshold, min_probability = options.effective_threshold, options.min_probability
        if min_probability is not None and not 0 <= min_probability <= 1:
            raise InputError(f"the least probability is 0 to 1, not {min_probability}")
        self._names = None if classes is None else list(classes)
        one_band = max(threshold, min_probability or 0)
        self._least, self._one_least = (
            min_positive_value(min_probability or 0),
            min_positive_value(one_band),
        )
        self._options = options
        self._reader = ProbabilityReader(min_probability or threshold, one_band)
        self._bands: Bands | None = None
        self._classes: list[NDArray[np.uint8]] = []
        self._count = 0  # bands of probabilities

    def add(self, band: Raster) -> None:
        """Take the next rows. Raises ``InputError`` when they do not follow those before."""
        array = band.array[None] if band.array.ndim == 2 else band.array
        names = self._names or [""] * len(array)
        if len(array) != len(names) or len(array) >= _NO_CLASS:
            raise InputError(
                f"a band for each of {len(names)} classes is wanted, not {len(array)} bands"
            )
        if self._bands is None:
            self._bands, self._count = Bands(band.grid), len(array)
        self._bands.follow(band.grid)
        for start in range(0, band.grid.height, _ROWS):
            rows = replace(band, array=array).rows(start, start + _ROWS)
            self._classes.append(self._largest(rows))

    def finish(self) -> "gpd.GeoDataFrame":
        """The coverage of all rows that came in."""
        if self._bands is None:
            raise InputError("land cover of nothing: no bands of probabilities came")
        self._reader.check()
        found = np.concatenate(self._classes)
        self._classes.clear()
        raster = Raster(found, self._bands.grid, found != _NO_CLASS)
        table = trace_landcover(raster, self._options)
        if self._count == 1:
            table = table[table["class"] == 1].reset_index(drop=True)
        first = 1 if self._count == 1 else 0
        return add_class_names(table, dict(enumerate(self._names or (), start=first)))

    def _largest(self, band: Raster) -> NDArray[np.uint8]:
        """The class of each pixel; the largest is looked for before bytes make some alike."""
        probs, array = self._reader.read(band), band.array
        known = np.ones(band.grid.shape, bool) if band.valid is None else band.valid
        if array.dtype.kind == "f":
            known = known & ~np.isnan(array).all(axis=0)
            array = np.where(np.isnan(array), -np.inf, array)
        if len(probs) == 1:
            found = (probs[0] >= self._one_least).astype(np.uint8)
        else:
            found = array.argmax(axis=0).astype(np.uint8)
            known = known & (probs.max(axis=0) >= self._least)
        return np.where(known, found, np.uint8(_NO_CLASS))


def add_class_names(table: "gpd.GeoDataFrame", names: Mapping[int, str]) -> "gpd.GeoDataFrame":
    """The table with a column ``name``, where classes have names."""
    if names:
        values = [names.get(number, "") for number in table["class"].tolist()]
        table.insert(1, "name", np.array(values, dtype=object))
    return table


def trace_landcover(
    classes: Raster, options: LandcoverOptions = LandcoverOptions()
) -> "gpd.GeoDataFrame":
    """The polygons of a raster of classes (integers, (row, col)), a coverage.

    Of the options its areas and simplification count; small regions without a neighbour stay.

    The table has ``class`` and ``area_m2`` (on the map, in the grid's metric CRS). Pixels that are
    not valid, or not a number, are in no polygon.

    Raises ``InputError`` for several bands, or for classes that are not whole numbers.
    """
    whole, known = _classes(classes)
    levels, number = np.unique(whole, return_inverse=True)
    number = np.where(known, number.reshape(whole.shape) + 1, 0)
    labels, number = _merged(number, classes.grid, options.min_area_m2)
    polygons, numbers = polygonize(labels)
    class_of = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    class_of[labels] = np.append(0, levels)[number]
    placed = shapely.transform(
        polygons, lambda xy: np.column_stack(classes.grid.metric_xy(xy[:, 0], xy[:, 1]))
    )
    return _table(_simplified(placed, options.simplify_m), class_of[numbers], classes.grid)


def _classes(raster: Raster) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The classes as integers, and where they are known."""
    array = raster.array
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2:
        raise InputError(
            f"one band of classes is wanted, not an array of {array.shape}; "
            "LandcoverTracer takes bands of probabilities"
        )
    known = np.isfinite(array)
    if raster.valid is not None:
        known &= raster.valid
    filled = np.where(known, array, 0)
    whole = filled.astype(np.int64)
    if (whole != filled).any():
        raise InputError("classes are whole numbers; for probabilities, take the argmax first")
    return whole, known


def _merged(number: Ints, grid: Grid, min_area_m2: float) -> tuple[Labels, Ints]:
    """Regions and classes (0: none) when slivers have gone to their neighbours."""
    across, down = grid.pixel_size_m
    while True:
        pieces = label(number, connectivity=1, background=0)  # type: ignore[no-untyped-call]
        labels = np.asarray(pieces, np.int32)
        area_m2: Floats = np.bincount(labels.ravel()).astype(float) * (across * down)
        area_m2[0] = np.inf
        joins = _joins(labels, area_m2, min_area_m2, across, down)
        if not len(joins):
            return labels, number
        number = _recoloured(number, labels, joins, area_m2)


def _joins(labels: Labels, area_m2: Floats, least_m2: float, across: float, down: float) -> Ints:
    """(k, 2) slivers, each with the neighbour to go to: that with the longest shared edge."""
    pair, length_m = _shared(labels, across, down)
    small = area_m2[pair[:, 0]] < least_m2
    pair, length_m = pair[small], length_m[small]
    # of edges as long as each other the one with the larger neighbour
    order = np.lexsort((pair[:, 1], -area_m2[pair[:, 1]], -length_m, pair[:, 0]))
    _, longest = np.unique(pair[order, 0], return_index=True)
    return np.asarray(pair[order[longest]])


def _shared(labels: Labels, across: float, down: float) -> tuple[Ints, Floats]:
    """Pairs of regions that share an edge, both ways, and how long it is."""
    count = int(labels.max(initial=0)) + 1
    keys, lengths = [], []
    for one, other, length_m in (
        (labels[:-1], labels[1:], across),
        (labels[:, :-1], labels[:, 1:], down),
    ):
        meet = (one != other) & (one > 0) & (other > 0)
        a, b = one[meet].astype(np.int64), other[meet].astype(np.int64)
        keys += [a * count + b, b * count + a]
        lengths += [np.full(len(a), length_m)] * 2
    key, of_pair = np.unique(np.concatenate(keys), return_inverse=True)
    total: Floats = np.bincount(of_pair, np.concatenate(lengths), len(key)).astype(float)
    return np.column_stack(np.divmod(key, count)), total


def _recoloured(number: Ints, labels: Labels, joins: Ints, area_m2: Floats) -> Ints:
    """Regions that join take the class of the largest among them."""
    count = len(area_m2)
    links = coo_array((np.ones(len(joins)), joins.T), shape=(count, count))
    _, group = connected_components(links, directed=False)
    order = np.lexsort((np.arange(count), -area_m2, group))
    _, first = np.unique(group[order], return_index=True)
    class_of = np.zeros(count, np.int64)
    class_of[labels] = number  # all pixels of a region are of one class
    return np.asarray(class_of[order[first]][group][labels])


def _simplified(polygons: NDArray[np.object_], simplify_m: float) -> NDArray[np.object_]:
    """Simplified as a coverage; as they are where that would spoil it."""
    if not simplify_m or not len(polygons):
        return polygons
    simple = np.asarray(shapely.coverage_simplify(polygons, simplify_m), dtype=object)
    return simple if shapely.is_valid(simple).all() else polygons


def _table(polygons: NDArray[np.object_], classes: NDArray[Any], grid: Grid) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    columns = {"class": classes, "area_m2": shapely.area(polygons)}
    return gpd.GeoDataFrame(columns, geometry=polygons, crs=grid.metric_crs)
