"""One rule of what is a road, for every form of file and every reader."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from terralink.errors import GraphError, InputError
from terralink.graph import RoadGraph
from terralink.vector.osm import has_features, is_road, read_buildings, read_tables
from terralink.vector.osm.tags import DRIVABLE

Row: TypeAlias = tuple[shapely.Geometry, dict[str, Any]]

RING = shapely.Polygon([(10, 50), (10.001, 50), (10.001, 50.001), (10, 50.001)])


def street(number: int) -> shapely.LineString:
    return shapely.LineString([(10, 50 + number / 1000), (10.001, 50 + number / 1000)])


def write_geojson(path: Path, rows: Sequence[Row]) -> Path:
    features = [
        {"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": tags}
        for shape, tags in rows
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def lines_of(path: Path) -> int:
    """How many lines are roads, by every reader."""
    count = len(RoadGraph.from_file(path))
    drawn = read_tables(path).roads
    assert sum(drawn.geom_type == "LineString") == count
    return count


MIXED = [
    {"highway": "residential"}, {"highway": "service"}, {"highway": "track"},
    {"highway": "footway"}, {"railway": "rail"}, {"power": "line"}, {"waterway": "river"},
    {"highway": "steps"}, {"highway": "proposed"}, {"barrier": "fence"},
]  # fmt: skip


def _columns(tags: dict[str, str]) -> dict[str, Any]:
    return tags


def _osmtogeojson(tags: dict[str, str]) -> dict[str, Any]:
    return {"@id": "way/1", **tags}


def _nested(tags: dict[str, str]) -> dict[str, Any]:
    return {"type": "way", "tags": tags}


def _hstore(tags: dict[str, str]) -> dict[str, Any]:
    pairs = ",".join(f'"{key}"=>"{value}"' for key, value in tags.items())
    return {"osm_id": "1", "other_tags": pairs + ',"name"=>"a \\"b\\" => \\"c\\""'}


def _hstore_beside(tags: dict[str, str]) -> dict[str, Any]:
    return {"highway": tags.get("highway"), **_hstore({"lit": "yes", **tags})}


def _json_tags(tags: dict[str, str]) -> dict[str, Any]:
    return {"osm_id": "1", "other_tags": json.dumps(tags)}


def _geofabrik(tags: dict[str, str]) -> dict[str, Any]:
    codes = {"highway": 5122, "railway": 6101, "power": 6601, "waterway": 8101, "barrier": 4101}
    ((key, value),) = tags.items()
    return {"osm_id": "1", "code": codes[key], "fclass": value}


EXPORTERS = [_geofabrik, _columns, _osmtogeojson, _nested, _hstore, _hstore_beside, _json_tags]


@pytest.mark.parametrize("export", EXPORTERS)
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".fgb", ".parquet", ".geoparquet"])
def test_three_of_ten_lines_are_roads_whoever_wrote_them(
    export: Callable[[dict[str, str]], dict[str, Any]], suffix: str, tmp_path: Path
) -> None:
    rows = [(street(i), export(tags)) for i, tags in enumerate(MIXED)]
    path = write_geojson(tmp_path / "lines.geojson", rows)
    if suffix != ".geojson":
        table = gpd.read_file(path)
        path = path.with_suffix(suffix)
        if "parquet" in suffix:
            pytest.importorskip("pyarrow")
            table.to_parquet(path)
        else:
            table.to_file(path)
    assert lines_of(path) == 3


def test_layers_of_ogr2ogr_are_told_by_their_tags(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    layers = {
        "lines": [(street(0), {"highway": "primary"}), (street(1), {"highway": "path"})],
        "multilinestrings": [(shapely.MultiLineString([street(2)]), {"other_tags": '"ref"=>"1"'})],
        "multipolygons": [(RING, {"building": "yes"})],
    }
    for name, rows in layers.items():
        frame = gpd.GeoDataFrame(
            [tags for _, tags in rows], geometry=[s for s, _ in rows], crs=4326
        )
        pyogrio.write_dataframe(frame, path, layer=name, append=path.exists())
    assert lines_of(path) == 1
    assert len(read_buildings(path).geometry) == len(read_tables(path).buildings) == 1


@pytest.mark.parametrize("tags", [{"railway": "rail"}, {"power": "line"}, {"highway": "footway"}])
def test_a_file_without_a_road_has_none_and_says_so(
    tags: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_geojson(tmp_path / "rails.geojson", [(street(0), tags), (street(1), tags)])
    assert lines_of(path) == 0
    assert not has_features(path, "roads")
    assert "rails.geojson: no roads among 2 shapes" in caplog.text


@pytest.mark.parametrize("tags", [{}, {"name": "High Street"}, {"lanes": 2, "osm_id": 4}, None])
def test_lines_without_tags_are_all_roads(tags: Any, tmp_path: Path) -> None:
    rows = [(street(0), tags), (street(1), tags)]
    assert lines_of(write_geojson(tmp_path / "plain.geojson", rows)) == 2


def test_of_an_export_of_all_kinds_the_lines_are_meant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        (street(0), {"highway": "residential"}), (street(1), {"highway": "footway"}),
        (shapely.Point(10, 50), {"highway": "traffic_signals"}), (RING, {"building": "yes"}),
    ]  # fmt: skip
    path = write_geojson(tmp_path / "mixed.geojson", rows)
    assert lines_of(path) == 1
    assert len(read_buildings(path).geometry) == 1
    assert has_features(path, "roads")
    assert has_features(path, "buildings")
    assert not caplog.records  # their tags say why they are left out


def test_of_shapes_without_tags_the_lines_are_meant_and_the_rest_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[Row] = [(street(0), {}), (shapely.Point(10, 50), {}), (RING, {})]
    assert lines_of(write_geojson(tmp_path / "mixed.geojson", rows)) == 1
    assert "left out 2 shapes that are no lines" in caplog.text
    collection = shapely.GeometryCollection([shape for shape, _ in rows])
    assert lines_of(write_geojson(tmp_path / "one.geojson", [(collection, {})])) == 1


def test_shapes_of_another_kind_alone_are_refused(tmp_path: Path) -> None:
    path = write_geojson(tmp_path / "areas.geojson", [(RING, {})])
    with pytest.raises(
        GraphError, match=r"areas\.geojson: roads are made of lines, not of Polygon"
    ):
        RoadGraph.from_file(path)
    path = write_geojson(tmp_path / "lines.geojson", [(street(0), {})])
    with pytest.raises(InputError, match="buildings are made of polygons, not of LineString"):
        read_buildings(path)


AREAS: list[tuple[shapely.Geometry, dict[str, str], str | None]] = [
    (RING, {"highway": "service"}, "LineString"),
    (RING, {"highway": "service", "area": "yes"}, "Polygon"),
    (RING.exterior, {"highway": "service"}, "LineString"),
    (shapely.LineString(RING.exterior), {"highway": "service", "area": "yes"}, "Polygon"),
    (RING, {"highway": "service", "@id": "relation/5"}, "Polygon"),
    (RING - RING.buffer(-2e-4), {"highway": "service"}, "Polygon"),
    (RING, {"highway": "pedestrian", "area": "yes"}, None),
    (RING, {"area:highway": "residential"}, None),
    (street(3), {"highway": "service", "area": "yes"}, None),
]


@pytest.mark.parametrize(("shape", "tags", "kind"), AREAS)
def test_a_ring_is_a_road_and_a_square_is_none(
    shape: shapely.Geometry, tags: dict[str, str], kind: str | None, tmp_path: Path
) -> None:
    if shape.geom_type == "LinearRing":
        shape = shapely.LineString(shape)
    path = write_geojson(tmp_path / "one.geojson", [(shape, tags)])
    assert list(read_tables(path).roads.geom_type) == ([kind] if kind else [])
    assert len(RoadGraph.from_file(path)) == (kind == "LineString")


def test_a_part_inside_a_building_is_not_counted_twice(tmp_path: Path) -> None:
    inside = RING.buffer(-2e-4)
    rows: list[Row] = [
        (RING, {"building": "yes"}),
        (inside, {"building:part": "yes"}),
        (inside, {"building": "yes", "building:part": "yes"}),
        (shapely.LineString(inside.exterior), {"building": "yes", "building:part": "yes"}),
        (shapely.affinity.translate(RING, 1), {"building": "yes", "building:part": "yes"}),
    ]
    path = write_geojson(tmp_path / "parts.geojson", rows)
    assert len(read_buildings(path).geometry) == len(read_tables(path).buildings) == 2


def test_graphml_of_osmnx_goes_by_the_same_rule(tmp_path: Path) -> None:
    import networkx as nx

    graph = nx.MultiDiGraph(crs="EPSG:4326")
    graph.add_nodes_from((i, {"x": 10 + i / 1000, "y": 50.0}) for i in range(4))
    classes = ["['service', 'residential']", "footway", "primary"]
    for i, highway in enumerate(classes):
        graph.add_edge(i, i + 1, highway=highway, width="['3', '5']")
    nx.write_graphml(graph, tmp_path / "net.graphml")
    roads = RoadGraph.from_file(tmp_path / "net.graphml")
    assert roads.width_m.tolist() == [4, 4]


@given(st.sampled_from(sorted(DRIVABLE)), st.sampled_from(["{}", "['{}', 'path']", "{};path"]))
def test_of_several_classes_one_is_enough(highway: str, form: str) -> None:
    assert is_road({"highway": form.format(highway)})
    assert not is_road({"highway": form.format("x" + highway)})


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tags=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3))
def test_whatever_the_tags_say_a_file_is_read(tags: dict[str, str], tmp_path: Path) -> None:
    for each in (tags, {"tags": json.dumps(tags)}, {"other_tags": str(tags)}):
        path = write_geojson(tmp_path / "any.geojson", [(street(0), each)])
        assert lines_of(path) in (0, 1)


def test_a_table_of_wkb_alone_is_told_in_a_line(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "wkb.parquet"
    gpd.GeoDataFrame(geometry=[street(0)]).to_wkb().to_parquet(path)
    with pytest.raises(InputError, match=r"wkb\.parquet is no GeoParquet: .*which column") as told:
        read_tables(path)
    assert "\n" not in str(told.value)
    path.write_text("no parquet")
    with pytest.raises(GraphError, match=r"wkb\.parquet is no GeoParquet"):
        RoadGraph.from_file(path)


@pytest.mark.parametrize("more", [{}, {"geometry_encoding": "geoarrow"}])
def test_geoparquet_of_other_tools_is_read(more: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = gpd.GeoDataFrame({"height": [3.0]}, geometry=[RING], crs=4326)
    moved = frame.rename_geometry("outline").to_crs("+proj=laea +lat_0=50 +lon_0=10")
    moved.to_parquet(tmp_path / "other.parquet", **more)
    found = read_buildings(tmp_path / "other.parquet")
    assert found.crs is not None
    assert found.crs.equals(moved.crs)
    assert shapely.equals(found.geometry, moved.geometry).all()
    assert shapely.area(found.geometry).sum() == pytest.approx(moved.area.sum())
