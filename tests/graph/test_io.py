"""Road graphs in every file form and back, and what hostile or odd files get for an answer."""

import itertools
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely import LineString

from terralink.errors import GraphError, TerralinkError
from terralink.graph import RoadGraph

UTM = CRS.from_epsg(32611)
FORMS = ["gpkg", "geojson", "graphml", "osm", "parquet"]


def town() -> RoadGraph:
    """A T, a parallel road, a loop and a ring; one width and one probability unknown."""
    lines = [
        [(0, 0), (100, 0)],
        [(100, 0), (200, 0)],
        [(100, 0), (150, 30), (200, 0)],
        [(200, 0), (250, 0), (250, 50), (200, 0)],
        [(0, 100), (50, 100), (50, 150), (0, 100)],
    ]
    placed = [LineString(np.add(line, (664000.0, 4012000.0))) for line in lines]
    return RoadGraph.from_lines(
        placed, UTM, width_m=[8, 6, 12, np.nan, 4], prob=[0.9, 0.8, 0.7, 0.6, np.nan]
    )


def table(graph: RoadGraph) -> list[tuple[float, float, float]]:
    """Length, width and probability of each road, sorted; unknown is -1.

    OpenStreetMap counts in 1e-7 degrees, which are a centimetre.
    """
    columns = np.column_stack([graph.length_m.round(1), graph.width_m, graph.prob])
    return sorted(map(tuple, np.nan_to_num(columns, nan=-1).tolist()))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_keeps_roads_junctions_widths_and_probabilities(
    form: str, tmp_path: Path
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"town.{form}"
    town().to_file(path)
    back = RoadGraph.from_file(path)
    assert table(back) == table(town())
    assert sorted(back.degree.tolist()) == sorted(town().degree.tolist())
    assert back.crs == UTM


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_map_is_a_valid_file_in_every_form(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"desert.{form}"
    RoadGraph.empty(UTM).to_file(path)
    assert len(RoadGraph.from_file(path)) == 0


def test_parquet_without_pyarrow_says_which_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(GraphError, match=r"pip install 'terralink\[parquet\]'"):
        town().to_file(tmp_path / "town.parquet")
    assert list(tmp_path.iterdir()) == []


BOMB = """<?xml version="1.0"?>
<!DOCTYPE osm [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c SYSTEM "file:///etc/passwd">]>
<{root}>&b;&c;</{root}>"""


@pytest.mark.parametrize(("form", "root"), [("osm", "osm"), ("graphml", "graphml")])
def test_xml_with_entities_is_refused(form: str, root: str, tmp_path: Path) -> None:
    path = tmp_path / f"bomb.{form}"
    path.write_text(BOMB.format(root=root))
    with pytest.raises(TerralinkError, match="declares a document type"):
        RoadGraph.from_file(path)


@pytest.mark.parametrize("form", ["osm", "graphml"])
@pytest.mark.parametrize("text", ["", "<osm><node>", "not xml", "<svg></svg>"])
def test_what_is_not_of_its_form_is_refused_in_one_line(
    form: str, text: str, tmp_path: Path
) -> None:
    path = tmp_path / f"odd.{form}"
    path.write_text(text)
    with pytest.raises(TerralinkError) as told:
        RoadGraph.from_file(path)
    assert f"odd.{form}" in str(told.value)


def test_osm_xml_without_a_crs_is_refused(tmp_path: Path) -> None:
    graph = RoadGraph.from_lines([LineString([(0, 0), (9, 0)])], None)
    with pytest.raises(GraphError, match="no CRS"):
        graph.to_file(tmp_path / "town.osm")


CROSS = [
    LineString([(0, 0), (10, 0), (20, 0)]),
    LineString([(10, -10), (10, 0), (10, 10)]),
    LineString([(15, -5), (15, 5)]),
]


def test_shared_vertices_become_junctions_where_asked() -> None:
    graph = RoadGraph.from_lines(CROSS, None, noding="vertices", width_m=[7, 6, 5])
    assert sorted(graph.degree.tolist()) == [1] * 6 + [4]
    assert sorted(graph.width_m.tolist()) == [5, 6, 6, 7, 7]
    assert graph.length_m.sum() == 50


def test_crossings_become_junctions_where_asked() -> None:
    graph = RoadGraph.from_lines(CROSS, None, noding="crossings")
    assert sorted(graph.degree.tolist()) == [1] * 6 + [4, 4]
    assert graph.length_m.sum() == 50


def test_a_place_that_is_no_word_for_joining_is_refused() -> None:
    with pytest.raises(GraphError, match="'ends', 'vertices' or 'crossings'"):
        RoadGraph.from_lines(CROSS, None, noding="middle")  # type: ignore[arg-type]


def test_osmnx_has_each_road_both_ways() -> None:
    graph = town().to_osmnx()
    assert graph.graph["crs"] == "EPSG:32611"
    for u, v, edge in graph.edges(data=True):
        first, *_, last = edge["geometry"].coords
        assert first == (graph.nodes[u]["x"], graph.nodes[u]["y"])
        assert last == (graph.nodes[v]["x"], graph.nodes[v]["y"])
        assert edge["length"] == edge["geometry"].length
    numbers = [(e["osmid"], e["reversed"]) for _, _, e in graph.edges(data=True)]
    assert sorted(numbers) == list(itertools.product(range(5), [False, True]))


def test_ways_through_both_networks_are_as_long() -> None:
    one, two = town().to_networkx(), town().to_osmnx()
    ways = dict(nx.all_pairs_dijkstra_path_length(one, weight="length_m"))
    assert dict(nx.all_pairs_dijkstra_path_length(two, weight="length")) == ways


def test_osmnx_measures_and_reads_what_is_written(tmp_path: Path) -> None:
    osmnx = pytest.importorskip("osmnx")
    graph = town()
    stats = osmnx.stats.basic_stats(graph.to_osmnx())
    assert stats["street_segment_count"] == len(graph)
    assert stats["street_length_total"] == pytest.approx(graph.length_m.sum())
    graph.to_file(tmp_path / "town.graphml")
    loaded = osmnx.load_graphml(tmp_path / "town.graphml")
    assert len(loaded.edges) == 2 * len(graph)
    osmnx.save_graphml(loaded, tmp_path / "theirs.graphml")
    back = RoadGraph.from_file(tmp_path / "theirs.graphml")
    assert shapely.length(back.lines).sum() == pytest.approx(graph.length_m.sum())
