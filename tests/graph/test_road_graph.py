"""RoadGraph: what becomes a road, what is refused, and the way to files and back."""

import json
import logging
import sqlite3
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import LineString, MultiLineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from terralink.errors import GraphError, OutputError
from terralink.graph import RoadGraph
from terralink.graph.polylines import Polylines, link_chains

UTM = CRS.from_epsg(32611)
WGS84 = CRS.from_epsg(4326)
X, Y = 664000.0, 4012000.0


def town(crs: CRS | None = UTM) -> RoadGraph:
    """A T, two roads between the same junctions, a loop, and a ring, with widths and a gap."""
    lines = [
        [(0, 0), (100, 0)],
        [(100, 0), (200, 0)],
        [(100, 0), (100, 80)],
        [(100, 0), (150, 30), (200, 0)],
        [(200, 0), (250, 0), (250, 50), (200, 0)],
        [(0, 100), (50, 100), (50, 150), (0, 100)],
    ]
    shifted = [LineString(np.add(line, (X, Y))) for line in lines]
    return RoadGraph.from_lines(
        shifted, crs, width_m=[8, 8, 6, 12, 4, np.nan], prob=[0.9, 0.8, 0.7, 0.9, 0.6, np.nan]
    )


def geojson(path: Path, *geometries: BaseGeometry | None, crs: str | None = None) -> Path:
    features: list[dict[str, object]] = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": shapely.geometry.mapping(g) if g else None,
        }
        for g in geometries
    ]
    collection: dict[str, object] = {"type": "FeatureCollection", "features": features}
    if crs:
        collection["crs"] = {"type": "name", "properties": {"name": crs}}
    path.write_text(json.dumps(collection))
    return path


def same(a: RoadGraph, b: RoadGraph, within_m: float = 0.0) -> None:
    assert len(a) == len(b)
    assert len(a.junctions) == len(b.junctions)
    np.testing.assert_allclose(b.length_m, a.length_m, rtol=0, atol=within_m)
    np.testing.assert_allclose(b.width_m, a.width_m, atol=1e-9)
    np.testing.assert_allclose(b.prob, a.prob, atol=1e-9)
    np.testing.assert_allclose(
        shapely.get_coordinates(b.lines), shapely.get_coordinates(a.lines), rtol=0, atol=within_m
    )


def test_shared_ends_are_junctions_and_crossings_are_not() -> None:
    graph = RoadGraph.from_lines(
        [LineString([(0, 0), (2, 2)]), LineString([(2, 2), (4, 0)]), LineString([(0, 1), (4, 1)])],
        None,
    )
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 1, 2]


def test_parallel_roads_loops_and_rings_are_all_kept() -> None:
    graph = town()
    assert len(graph) == 6
    assert sorted(graph.degree.tolist()) == [1, 1, 2, 4, 4]


def test_lines_of_many_parts_are_split_and_flattened() -> None:
    many = MultiLineString([[(0, 0, 5), (1, 0, 6)], [(1, 0, 6), (2, 0, 7)]])
    graph = RoadGraph.from_lines([many], None, width_m=[7])
    assert len(graph) == 2
    assert graph.width_m.tolist() == [7, 7]
    assert not shapely.has_z(graph.lines).any()


def test_what_has_no_length_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    nothing = [LineString(), LineString([(3, 3), (3, 3)]), None]
    with caplog.at_level(logging.WARNING):
        graph = RoadGraph.from_lines(
            [*nothing, LineString([(0, 0), (1, 0)])], None, prob=[1, 2, 3, 4]
        )
    assert len(graph) == 1
    assert graph.prob.tolist() == [4]
    assert "2 of 3 lines have no length" in caplog.text
    assert "1 of 4 lines are missing" in caplog.text


@pytest.mark.parametrize("geometry", [Point(0, 0), Polygon([(0, 0), (1, 0), (1, 1)])])
def test_points_and_areas_are_refused(geometry: BaseGeometry) -> None:
    with pytest.raises(GraphError, match=f"lines, not of {geometry.geom_type}"):
        RoadGraph.from_lines([geometry], None)


def test_degrees_become_metres() -> None:
    graph = RoadGraph.from_lines([LineString([(-115.17, 36.24), (-115.16, 36.24)])], WGS84)
    assert graph.crs == UTM
    assert graph.length_m[0] == pytest.approx(898.9, abs=0.5)


def test_metres_that_are_called_degrees_are_refused() -> None:
    with pytest.raises(GraphError, match="not degrees of EPSG:4326"):
        RoadGraph.from_lines([LineString([(5e5, 4e6), (5e5, 5e6)])], WGS84)


def test_a_line_that_ends_beside_its_junction_is_refused() -> None:
    with pytest.raises(GraphError, match="begin and end at the coordinates"):
        RoadGraph(
            np.array([[0.0, 0], [1, 0]]),
            np.array([[0, 1]]),
            Polylines.from_shapely(np.array([LineString([(0, 0), (1, 1e-9)])], dtype=object)),
            np.array([np.nan]),
            np.array([np.nan]),
        )


def test_joining_leaves_no_junction_of_two_ends_but_one_a_ring() -> None:
    chain = [
        LineString([(0, 0), (1, 0)]),
        LineString([(3, 0), (1, 0)]),
        LineString([(3, 0), (6, 0)]),
    ]
    ring = [LineString([(0, 5), (9, 5)]), LineString([(0, 5), (5, 9), (9, 5)])]
    graph = RoadGraph.from_lines(chain + ring, None, width_m=[6, 3, 9, np.nan, 4]).merge_degree2()
    assert sorted(line.wkt for line in graph.lines if not line.is_closed) == [
        "LINESTRING (0 0, 1 0, 3 0, 6 0)"
    ]
    assert sorted(graph.degree.tolist()) == [1, 1, 2]
    assert sorted(graph.width_m.tolist()) == [4, 6.5]


def test_roads_are_cut_at_new_junctions() -> None:
    graph = RoadGraph.from_lines(
        [LineString([(0, 0), (10, 0)]), LineString([(10, 0), (10, 9)])], None
    )
    cut = graph.split(np.array([0, 1, 0]), np.array([7.0, 4, 2]))
    assert cut.length_m.tolist() == [2, 5, 3, 4, 5]
    assert cut.junctions[-3:].tolist() == [[7, 0], [10, 4], [2, 0]]
    assert cut.merge_degree2().length_m.tolist() == graph.merge_degree2().length_m.tolist() == [19]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14))
def test_chains_walk_every_edge_once_through_nodes_of_degree_two(
    pairs: list[tuple[int, int]],
) -> None:
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    chains = link_chains(ends)
    assert sorted(chains.edge.tolist()) == list(range(len(ends)))
    nodes, starts = chains.nodes(ends) if len(ends) else (ends.ravel(), chains.starts)
    degree = np.bincount(ends.ravel(), minlength=8)
    walked = []
    for first, stop in pairwise(starts.tolist()):
        path = nodes[first:stop]
        walked += [tuple(sorted(step)) for step in pairwise(path.tolist())]
        assert (degree[path[1:-1]] == 2).all()
        is_ring = path[0] == path[-1]
        assert is_ring or (degree[path[[0, -1]]] != 2).all()
    assert sorted(walked) == sorted(tuple(sorted(pair)) for pair in pairs)


@pytest.mark.parametrize(
    ("suffix", "within_m"), [(".gpkg", 0), (".geojson", 0.002), (".json", 0.002)]
)
def test_a_graph_comes_back_from_its_file(tmp_path: Path, suffix: str, within_m: float) -> None:
    path = tmp_path / f"map{suffix}"
    town().to_file(path)
    back = RoadGraph.from_file(path)
    same(town(), back, within_m)
    assert back.crs == UTM
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_graph_without_crs_comes_back_from_a_geopackage(tmp_path: Path) -> None:
    town(crs=None).to_file(tmp_path / "map.gpkg")
    back = RoadGraph.from_file(tmp_path / "map.gpkg")
    same(town(crs=None), back)
    assert back.crs is None


@pytest.mark.parametrize("name", ["map.gpkg", "map.geojson"])
def test_an_empty_graph_is_a_valid_map(tmp_path: Path, name: str) -> None:
    RoadGraph.empty(UTM).to_file(tmp_path / name)
    assert len(RoadGraph.from_file(tmp_path / name)) == 0


def test_a_geopackage_has_both_layers_and_their_styles(tmp_path: Path) -> None:
    from pyogrio import raw

    path = tmp_path / "map.gpkg"
    town().to_file(path)
    meta, _, _, columns = raw.read(path, layer="junctions")
    assert meta["fields"].tolist() == ["id", "degree"]
    assert columns[1].tolist() == town().degree.tolist()
    meta, _, _, columns = raw.read(path, layer="roads")
    assert meta["fields"].tolist() == ["u", "v", "length_m", "width_m", "prob"]
    assert np.column_stack(columns[:2]).tolist() == town().edges.tolist()
    with sqlite3.connect(path) as base:
        styles = base.execute("SELECT f_table_name, useAsDefault FROM layer_styles").fetchall()
    base.close()
    assert styles == [("roads", 1), ("junctions", 1)]


def test_the_crs_a_file_names_is_taken_and_another_can_be_given(tmp_path: Path) -> None:
    line = LineString([(X, Y), (X + 100, Y)])
    named = geojson(tmp_path / "named.geojson", line, crs="urn:ogc:def:crs:EPSG::32611")
    unnamed = geojson(tmp_path / "unnamed.geojson", line)
    assert RoadGraph.from_file(named).crs == UTM
    assert RoadGraph.from_file(unnamed, crs=UTM).length_m.tolist() == [100]
    with pytest.raises(GraphError, match=r"unnamed\.geojson: .*give the crs"):
        RoadGraph.from_file(unnamed)


def test_a_file_of_nothing_is_an_empty_graph(tmp_path: Path) -> None:
    assert len(RoadGraph.from_file(geojson(tmp_path / "none.geojson"))) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no file"),
        ("hello", "no vector file"),
        ("", "no vector file"),
        ('{"a": 1}', "no vector"),
    ],
)
def test_what_is_no_vector_file_is_one_clear_line(
    tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "map.geojson"
    if content is not None:
        path.write_text(content)
    with pytest.raises(GraphError, match=said) as caught:
        RoadGraph.from_file(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="lines, not of Point"):
        RoadGraph.from_file(geojson(tmp_path / "points.geojson", Point(0, 0)))


def test_a_table_without_geometry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(GraphError, match="table without geometry"):
        RoadGraph.from_file(tmp_path / "table.csv")


@pytest.mark.parametrize("name", ["map.shp", "map", "map.tif"])
def test_other_formats_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(GraphError, match=r"\.gpkg or \.geojson"):
        town().to_file(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_geojson_needs_a_crs(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no CRS"):
        town(crs=None).to_file(tmp_path / "map.geojson")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        town().to_file(tmp_path / "file" / "map.gpkg")


def test_networkx_gets_every_road_with_its_columns() -> None:
    graph = town().to_networkx()
    assert graph.number_of_edges() == 6
    assert graph.graph["crs"] == UTM
    total = sum(length_m for _, _, length_m in graph.edges(data="length_m"))
    assert total == pytest.approx(town().length_m.sum())
    u, _, columns = next(iter(graph.edges(data=True)))
    assert (graph.nodes[u]["x"], graph.nodes[u]["y"]) == columns["geometry"].coords[0]
    assert set(columns) == {"length_m", "width_m", "prob", "geometry"}


def test_another_crs_and_back_is_the_same_graph() -> None:
    there = town().to_crs(CRS.from_epsg(32612))
    same(town(), there.to_crs(UTM), within_m=1e-6)


@pytest.mark.data
@pytest.mark.parametrize("kind", ["osm", "spacenetroads"])
def test_files_of_others_are_read(data_root: Path, kind: str) -> None:
    for path in sorted((data_root / "spacenet-vegas" / kind).glob("*.geojson")):
        graph = RoadGraph.from_file(path)
        assert graph.crs == UTM
        assert 200 < graph.length_m.sum() < 4000
