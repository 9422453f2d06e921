"""Classes to land cover: polygons without gaps or overlaps, whose neighbours share their edges.

    classes -> regions -> slivers merged -> polygons that share their points -> simplified together

A region is a set of pixels of one class, connected by their sides. A sliver is a region smaller
than the minimum area; it is merged into the neighbour with the longest shared edge. The classes of
the whole scene are in memory, a byte a pixel, whatever the number of bands.
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

from terralink._typing import Floats, Ints, Labels
from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.raster.pixel_values import min_positive_value
from terralink.vectorize.bands import ProbabilityReader, RowTracker
from terralink.vectorize.labels import polygonize
from terralink.vectorize.options import LandcoverOptions

if TYPE_CHECKING:
    import geopandas as gpd


_NO_CLASS = 255  # the value of a pixel that is in no polygon
_CHUNK_ROWS = 64  # rows that are classified at a time


class LandcoverTracer:
    """Traces land cover through a scene whose rows of class probabilities arrive top to bottom.

        tracer = LandcoverTracer(classes=model.metadata.classes)
        for rows in inference.predict_bands(model, scene):
            tracer.add(rows)
        table = tracer.finish()

    ``classes`` are the names of the bands, in order; None if they have no names.

    The class of a pixel is the number of the band with the largest probability, from 0. A single
    band is class 1, and the other pixels are in no polygon.
    """

    def __init__(
        self,
        options: LandcoverOptions = LandcoverOptions(),
        *,
        classes: Sequence[str] | None = None,
    ) -> None:
        threshold, min_probability = options.effective_threshold, options.min_probability
        if min_probability is not None and not 0 <= min_probability <= 1:
            raise InputError(f"min_probability must be 0 to 1, not {min_probability}")
        self._names = None if classes is None else list(classes)
        alone = max(threshold, min_probability or 0)
        self._min_value, self._min_value_alone = (
            min_positive_value(min_probability or 0),
            min_positive_value(alone),
        )
        self._options = options
        self._reader = ProbabilityReader(min_probability or threshold, alone)
        self._rows: RowTracker | None = None
        self._classes: list[NDArray[np.uint8]] = []
        self._count = 0  # bands of probabilities

    def add(self, rows: Raster) -> None:
        """Add the next rows; raises ``InputError`` when they do not follow the ones before."""
        array = rows.array[None] if rows.array.ndim == 2 else rows.array
        names = self._names or [""] * len(array)
        if len(array) != len(names) or len(array) >= _NO_CLASS:
            raise InputError(
                f"expected a band for each of {len(names)} classes, not {len(array)} bands"
            )
        if self._rows is None:
            self._rows, self._count = RowTracker(rows.grid), len(array)
        self._rows.append(rows.grid)
        rows = replace(rows, array=array)
        for start in range(0, rows.grid.height, _CHUNK_ROWS):
            self._classes.append(self._classify(rows.rows(start, start + _CHUNK_ROWS)))

    def finish(self) -> "gpd.GeoDataFrame":
        """The coverage of all rows."""
        if self._rows is None:
            raise InputError("no rows of probabilities were added, so there is no land cover")
        self._reader.check()
        classes = np.concatenate(self._classes)
        self._classes.clear()
        raster = Raster(classes, self._rows.grid, classes != _NO_CLASS)
        table = trace_landcover(raster, self._options)
        if self._count == 1:
            table = table[table["class"] == 1].reset_index(drop=True)
        first = 1 if self._count == 1 else 0
        return add_class_names(table, dict(enumerate(self._names or (), start=first)))

    def _classify(self, rows: Raster) -> NDArray[np.uint8]:
        """The class of each pixel, from the original values: as bytes, two might become equal."""
        probs, array = self._reader.read(rows), rows.array
        known = np.ones(rows.grid.shape, bool) if rows.valid is None else rows.valid
        if array.dtype.kind == "f":
            known = known & ~np.isnan(array).all(axis=0)
            array = np.where(np.isnan(array), -np.inf, array)
        if len(probs) == 1:
            classes = (probs[0] >= self._min_value_alone).astype(np.uint8)
        else:
            classes = array.argmax(axis=0).astype(np.uint8)
            known = known & (probs.max(axis=0) >= self._min_value)
        return np.where(known, classes, np.uint8(_NO_CLASS))


def add_class_names(table: "gpd.GeoDataFrame", names: Mapping[int, str]) -> "gpd.GeoDataFrame":
    """The table with a column ``name``, if classes have names."""
    if names:
        values = [names.get(number, "") for number in table["class"].tolist()]
        table.insert(1, "name", np.array(values, dtype=object))
    return table


def trace_landcover(
    classes: Raster, options: LandcoverOptions = LandcoverOptions()
) -> "gpd.GeoDataFrame":
    """The polygons of a raster of classes (integers, (row, col)), a coverage.

    Of the options, ``min_area_m2`` and ``simplify_m`` are used. Small regions without a neighbour
    stay.

    The table has ``class`` and ``area_m2`` (on the map, in the grid's metric CRS). Pixels that are
    not valid, or not a number, are in no polygon.

    Raises ``InputError`` for several bands, or for classes that are not whole numbers.
    """
    whole, known = _read_classes(classes)
    values, number = np.unique(whole, return_inverse=True)
    number = np.where(known, number.reshape(whole.shape) + 1, 0)
    labels, number = _merge_slivers(number, classes.grid, options.min_area_m2)
    polygons, numbers = polygonize(labels)
    class_of = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    class_of[labels] = np.append(0, values)[number]
    projected = shapely.transform(
        polygons, lambda xy: np.column_stack(classes.grid.metric_xy(xy[:, 0], xy[:, 1]))
    )
    return _build_table(_simplify(projected, options.simplify_m), class_of[numbers], classes.grid)


def _read_classes(raster: Raster) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The classes as integers, and where they are known."""
    array = raster.array
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2:
        raise InputError(
            f"expected one band of classes, not an array of {array.shape}; "
            "LandcoverTracer takes bands of probabilities"
        )
    known = np.isfinite(array)
    if raster.valid is not None:
        known &= raster.valid
    filled = np.where(known, array, 0)
    whole = filled.astype(np.int64)
    if (whole != filled).any():
        raise InputError("classes are whole numbers; for probabilities use LandcoverTracer")
    return whole, known


def _merge_slivers(number: Ints, grid: Grid, min_area_m2: float) -> tuple[Labels, Ints]:
    """Regions and classes (0: none) after slivers were merged into their neighbours."""
    across, down = grid.pixel_size_m
    while True:
        regions = label(number, connectivity=1, background=0)  # type: ignore[no-untyped-call]
        labels = np.asarray(regions, np.int32)
        area_m2: Floats = np.bincount(labels.ravel()).astype(float) * (across * down)
        area_m2[0] = np.inf
        merges = _choose_neighbours(labels, area_m2, min_area_m2, across, down)
        if not len(merges):
            return labels, number
        number = _reclassify(number, labels, merges, area_m2)


def _choose_neighbours(
    labels: Labels, area_m2: Floats, min_area_m2: float, across: float, down: float
) -> Ints:
    """(k, 2) slivers, each with the neighbour that has the longest shared edge."""
    pair, length_m = _measure_shared_edges(labels, across, down)
    small = area_m2[pair[:, 0]] < min_area_m2
    pair, length_m = pair[small], length_m[small]
    # of edges of the same length, the one with the larger neighbour
    order = np.lexsort((pair[:, 1], -area_m2[pair[:, 1]], -length_m, pair[:, 0]))
    _, longest = np.unique(pair[order, 0], return_index=True)
    return np.asarray(pair[order[longest]])


def _measure_shared_edges(labels: Labels, across: float, down: float) -> tuple[Ints, Floats]:
    """Pairs of regions that share an edge, in both orders, and the length of the edge."""
    count = int(labels.max(initial=0)) + 1
    keys, lengths = [], []
    for one, other, length_m in (
        (labels[:-1], labels[1:], across),
        (labels[:, :-1], labels[:, 1:], down),
    ):
        touches = (one != other) & (one > 0) & (other > 0)
        a, b = one[touches].astype(np.int64), other[touches].astype(np.int64)
        keys += [a * count + b, b * count + a]
        lengths += [np.full(len(a), length_m)] * 2
    key, pair = np.unique(np.concatenate(keys), return_inverse=True)
    total: Floats = np.bincount(pair, np.concatenate(lengths), len(key)).astype(float)
    return np.column_stack(np.divmod(key, count)), total


def _reclassify(number: Ints, labels: Labels, merges: Ints, area_m2: Floats) -> Ints:
    """Regions that are merged take the class of the largest among them."""
    count = len(area_m2)
    links = coo_array((np.ones(len(merges)), merges.T), shape=(count, count))
    _, group = connected_components(links, directed=False)
    order = np.lexsort((np.arange(count), -area_m2, group))
    _, first = np.unique(group[order], return_index=True)
    class_of = np.zeros(count, np.int64)
    class_of[labels] = number  # all pixels of a region have one class
    return np.asarray(class_of[order[first]][group][labels])


def _simplify(polygons: NDArray[np.object_], simplify_m: float) -> NDArray[np.object_]:
    """Polygons simplified as a coverage; unchanged if one would become invalid."""
    if not simplify_m or not len(polygons):
        return polygons
    simple = np.asarray(shapely.coverage_simplify(polygons, simplify_m), dtype=object)
    return simple if shapely.is_valid(simple).all() else polygons


def _build_table(
    polygons: NDArray[np.object_], classes: NDArray[Any], grid: Grid
) -> "gpd.GeoDataFrame":
    import geopandas as gpd

    columns = {"class": classes, "area_m2": shapely.area(polygons)}
    return gpd.GeoDataFrame(columns, geometry=polygons, crs=grid.metric_crs)
