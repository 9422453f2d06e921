"""The exact truth: the planned geometry as road graph, footprints and road mask."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from terralink.geo import Grid
from terralink.graph import RoadGraph
from terralink.town import surfaces
from terralink.town.curves import Points, circle
from terralink.town.district import District
from terralink.town.paint import Block
from terralink.town.streets import Road

Node = tuple[float, float]


def burned(block: Block, districts: Iterable[District]) -> NDArray[np.uint8]:
    """1 (h, w) where a pixel's centre lies on a road or a turning circle."""
    shapes = []
    frame = shapely.box(*block.bounds)
    for district in districts:
        polygons = [*surfaces.ribbons(district.roads)]
        polygons += [shapely.Polygon(circle(*bulb)) for bulb in district.bulbs]
        near = [polygon for polygon in polygons if polygon.intersects(frame)]
        shapes += [shapely.transform(polygon, block.pixels) for polygon in near]
    if not shapes:
        return np.zeros(block.shape, np.uint8)
    mask: NDArray[np.uint8] = rasterize(shapes, out_shape=block.shape, dtype="uint8")
    return mask


def graph(roads: Sequence[Road], whole: Block, grid: Grid) -> RoadGraph:
    """Centre lines clipped to the scene; pieces that merely continue each other are one road."""
    merged = _merged(roads)
    frame = shapely.box(*whole.bounds)
    lines, widths_m = [], []
    for road in merged:
        clipped = shapely.intersection(shapely.LineString(road.points), frame)
        for part in shapely.get_parts(clipped):
            if part.geom_type == "LineString" and part.length > 0.5:
                lines.append(shapely.transform(part, lambda points: _metric(points, whole, grid)))
                widths_m.append(road.width_m)
    if not lines:
        return RoadGraph.empty(grid.metric_crs)
    return RoadGraph.from_lines(lines, grid.metric_crs, width_m=np.array(widths_m))


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


def _merged(roads: Sequence[Road]) -> list[Road]:
    """Join pieces of one class at nodes where nothing else meets them."""
    meeting: dict[Node, list[int]] = defaultdict(list)
    for index, road in enumerate(roads):
        for end in (0, -1):
            meeting[_node(road.points[end])].append(index)
    through = {
        node
        for node, ends in meeting.items()
        if len(ends) == 2 and ends[0] != ends[1] and _alike(roads[ends[0]], roads[ends[1]])
    }
    done: set[int] = set()
    chains = []
    # Chains start where they end; what is left over then are rings.
    for only_ends in (True, False):
        for index, road in enumerate(roads):
            at_end = [_node(road.points[end]) not in through for end in (0, -1)]
            if index in done or (only_ends and not any(at_end)):
                continue
            chains.append(
                _chain(roads, index, meeting, through, done, backwards=not at_end[0] and at_end[1])
            )
    return chains


def _chain(
    roads: Sequence[Road],
    index: int,
    meeting: dict[Node, list[int]],
    through: set[Node],
    done: set[int],
    *,
    backwards: bool,
) -> Road:
    """Follow a road from one of its ends until a junction, an end or its own start."""
    points = roads[index].points[::-1] if backwards else roads[index].points
    parts = [points]
    done.add(index)
    while _node(points[-1]) in through:
        onward = [other for other in meeting[_node(points[-1])] if other not in done]
        if not onward:
            break
        nearby = roads[onward[0]].points
        points = nearby if _node(nearby[0]) == _node(points[-1]) else nearby[::-1]
        parts.append(points[1:])
        done.add(onward[0])
    return Road(np.concatenate(parts), roads[index].kind, roads[index].width_m)


def _node(point: Points) -> Node:
    return float(point[0]), float(point[1])


def _alike(one: Road, other: Road) -> bool:
    return one.kind == other.kind and one.width_m == other.width_m
