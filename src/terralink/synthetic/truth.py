"""The exact truth: the planned geometry as road graph, footprints and road mask."""

from collections.abc import Iterable, Sequence

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from terralink.graph import RoadGraph
from terralink.graph.polylines import string
from terralink.raster import Grid
from terralink.synthetic import paving
from terralink.synthetic.curves import Points, circle
from terralink.synthetic.district import District
from terralink.synthetic.paint import Block
from terralink.synthetic.streets import Road

_SPECK_M = 0.5  # what is shorter only touches the scene's edge


def burned(block: Block, districts: Iterable[District]) -> NDArray[np.uint8]:
    """1 (h, w) where a pixel's centre lies on a road or a turning circle."""
    shapes = []
    frame = shapely.box(*block.bounds)
    for district in districts:
        polygons = [*paving.ribbons(district.roads)]
        polygons += [shapely.Polygon(circle(*bulb)) for bulb in district.bulbs]
        near = [polygon for polygon in polygons if polygon.intersects(frame)]
        shapes += [shapely.transform(polygon, block.pixels) for polygon in near]
    if not shapes:
        return np.zeros(block.shape, np.uint8)
    mask: NDArray[np.uint8] = rasterize(shapes, out_shape=block.shape, dtype="uint8")
    return mask


def graph(roads: Sequence[Road], whole: Block, grid: Grid) -> RoadGraph:
    """Centre lines clipped to the scene; pieces of one width that go on from each other are one."""
    lines = np.array([shapely.LineString(road.points) for road in roads], dtype=object)
    widths_m = np.array([road.width_m for road in roads])
    clipped = shapely.intersection(lines, shapely.box(*whole.bounds))
    parts, source = shapely.get_parts(clipped, return_index=True)
    kept = shapely.length(parts) > _SPECK_M
    placed = shapely.transform(parts[kept], lambda points: _metric(points, whole, grid))
    return _joined(RoadGraph.from_lines(placed, grid.metric_crs, width_m=widths_m[source[kept]]))


def _joined(pieces: RoadGraph) -> RoadGraph:
    """No junction is left where two roads of one width meet and nothing else does."""
    slots = np.repeat(pieces.width_m, 2)
    nodes = pieces.ends.ravel()
    narrow, wide = np.full((2, len(pieces.junctions)), [[np.inf], [-np.inf]])
    np.minimum.at(narrow, nodes, slots)
    np.maximum.at(wide, nodes, slots)
    chains = string(pieces.ends, stop=narrow != wide)
    if not len(chains):
        return pieces
    # A mean of equal widths is one of them, but for rounding.
    widths_m = chains.mean(pieces.width_m, pieces.length_m).round(6)
    lines = pieces.polylines.strung(chains).drawn()
    return RoadGraph.from_lines(lines, pieces.crs, width_m=widths_m)


def footprints(polygons: Sequence[shapely.Polygon], whole: Block, grid: Grid) -> gpd.GeoDataFrame:
    """Building polygons clipped to the scene, in metres of its metric CRS."""
    clipped = shapely.intersection(np.array(polygons, dtype=object), shapely.box(*whole.bounds))
    parts = shapely.get_parts(clipped)
    parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 4)]
    placed = shapely.transform(parts, lambda points: _metric(points, whole, grid))
    return gpd.GeoDataFrame({"area_m2": shapely.area(placed)}, geometry=placed, crs=grid.metric_crs)


def _metric(points: Points, whole: Block, grid: Grid) -> Points:
    cols, rows = whole.pixels(points).T
    return np.stack(grid.metric_xy(cols, rows), axis=1)
