"""``evaluate`` and ``diff``: figures that are known, and every mistake in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from shapely import LineString, box

from terralink.graph import RoadGraph
from terralink.raster import Grid, RasterWriter

UTM = CRS.from_epsg(32611)
EAST, NORTH = 600000.0, 4000000.0
Run = Callable[..., Any]


def mask(path: Path, *filled: tuple[slice, slice], east: float = EAST, side_px: int = 64) -> Path:
    """A mask of 1 m pixels, 255 where it is filled."""
    array = np.zeros((1, side_px, side_px), np.uint8)
    for part in filled:
        array[0][part] = 255
    path.parent.mkdir(exist_ok=True)
    grid = Grid((side_px, side_px), Affine(1, 0, east, 0, -1, NORTH), UTM)
    with RasterWriter(path, grid) as writer:
        writer.write(0, 0, array)
    return path


def roads(path: Path, *lines: list[tuple[float, float]], east: float = EAST) -> Path:
    path.parent.mkdir(exist_ok=True)
    placed = [LineString(np.add(line, (east, NORTH))) for line in lines]
    RoadGraph.from_lines(placed, UTM).to_file(path)
    return path


def houses(path: Path, *corners: tuple[float, float]) -> Path:
    import geopandas as gpd

    shapes = [box(EAST + x, NORTH + y, EAST + x + 10, NORTH + y + 10) for x, y in corners]
    gpd.GeoSeries(shapes, crs=UTM).to_file(path, layer="buildings", driver="GPKG")
    return path


@pytest.fixture
def figures(terralink: Run) -> Callable[..., dict[str, Any]]:
    """Run ``evaluate --json`` and return what it says."""

    def run(*arguments: object) -> dict[str, Any]:
        ended = terralink("evaluate", *arguments, "--json")
        assert ended.code == 0, ended.err
        return dict(json.loads(ended.out))

    return run


@pytest.fixture
def refused(terralink: Run) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        ended = terralink(*arguments)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.startswith("terralink: ")
        assert ended.err.count("\n") == 1
        return str(ended.err)

    return run


LEFT, RIGHT = (slice(0, 64), slice(0, 32)), (slice(0, 64), slice(16, 48))


def test_pixels_are_counted(figures: Run, tmp_path: Path) -> None:
    truth, pred = mask(tmp_path / "t.tif", LEFT), mask(tmp_path / "p.tif", RIGHT)
    found = figures("pixels", truth, pred)["figures"]
    assert found["iou"] == pytest.approx(16 / 48)
    assert found["precision"] == pytest.approx(0.5)


def test_a_threshold_says_from_which_level_pixels_count(figures: Run, tmp_path: Path) -> None:
    truth, pred = mask(tmp_path / "t.tif", LEFT), mask(tmp_path / "p.tif", RIGHT)
    assert figures("pixels", truth, pred, "--threshold", 256)["figures"]["iou"] is None


def test_patches_are_counted(figures: Run, tmp_path: Path) -> None:
    truth, pred = mask(tmp_path / "t.tif", LEFT), mask(tmp_path / "p.tif", RIGHT)
    assert figures("patches", truth, pred)["figures"]["recall"] == pytest.approx(0.5)


MAIN: list[tuple[float, float]] = [(0, 0), (400, 0)]
SIDE: list[tuple[float, float]] = [(400, 0), (400, 400)]


@pytest.mark.parametrize("kind", ["roads", "topo"])
def test_the_same_roads_are_all_right(kind: str, figures: Run, tmp_path: Path) -> None:
    path = roads(tmp_path / "t.gpkg", MAIN, SIDE)
    assert figures(kind, path, path)["figures"]["f1"] == 1


def test_roads_of_a_mask_are_traced(figures: Run, tmp_path: Path) -> None:
    truth = roads(tmp_path / "t.gpkg", [(0, -100), (200, -100)])
    pred = mask(tmp_path / "p.tif", (slice(96, 105), slice(0, 200)), side_px=200)
    found = figures("roads", truth, pred)["figures"]
    assert found["f1"] > 0.95
    assert found["pred_pieces"] == 1


def test_buildings_are_found_one_to_one(figures: Run, tmp_path: Path) -> None:
    truth = houses(tmp_path / "t.gpkg", (0, 0), (30, 0))
    pred = houses(tmp_path / "p.gpkg", (1, 0), (36, 0))
    found = figures("buildings", truth, pred)["figures"]
    assert (found["truth"], found["found"], found["f1"]) == (2, 1, 0.5)


def test_folders_are_paired_by_stem_and_who_is_alone_is_named(
    terralink: Run, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        mask(tmp_path / "truth" / f"{name}.tif", LEFT)
    for name in ("b", "c"):
        mask(tmp_path / "pred" / f"{name}.tif", RIGHT)
    ended = terralink("evaluate", "pixels", tmp_path / "truth", tmp_path / "pred", "--json")
    record = json.loads(ended.out)
    assert [case["name"] for case in record["cases"]] == ["b"]
    assert [Path(path).name for path in record["alone"]] == ["a.tif", "c.tif"]
    assert "a.tif" in ended.err
    assert "c.tif" in ended.err


@pytest.mark.parametrize("kind", ["pixels", "roads", "buildings"])
def test_a_page_shows_the_worst_cases_first(kind: str, terralink: Run, tmp_path: Path) -> None:
    for name, filled in (("good", LEFT), ("bad", RIGHT)):
        mask(tmp_path / "truth" / f"{name}.tif", LEFT)
        mask(tmp_path / "pred" / f"{name}.tif", filled)
    page = tmp_path / "page.html"
    ended = terralink("evaluate", kind, tmp_path / "truth", tmp_path / "pred", "--report", page)
    assert ended.code == 0, ended.err
    text = page.read_text()
    assert text.count("data:image/") == 4
    if kind == "pixels":
        assert text.index(">bad<") < text.index(">good<")


@pytest.mark.parametrize("kind", ["pixels", "patches", "roads", "topo", "buildings"])
@pytest.mark.parametrize("side_px", [1, 64])
def test_empty_masks_have_no_score_and_are_no_error(
    kind: str, side_px: int, figures: Run, tmp_path: Path
) -> None:
    empty = mask(tmp_path / "t.tif", side_px=side_px)
    assert figures(kind, empty, empty)["figures"]["f1"] is None


@pytest.mark.parametrize("kind", ["pixels", "roads", "buildings"])
def test_masks_that_are_all_positive_are_no_error(kind: str, figures: Run, tmp_path: Path) -> None:
    full = mask(tmp_path / "t.tif", (slice(None), slice(None)))
    assert figures(kind, full, full)["figures"]["f1"] in (1, None)


def geojson(path: Path, *lines: list[list[float]]) -> Path:
    shapes = ({"type": "LineString", "coordinates": line} for line in lines)
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_geojson_without_crs_with_heights_and_roads_of_no_length(
    figures: Run, tmp_path: Path
) -> None:
    street = [[-115.17, 36.24, 600.0], [-115.168, 36.24, 601.0]]
    path = geojson(tmp_path / "t.geojson", street, [street[0], street[0]])
    assert figures("roads", path, path)["figures"]["truth_m"] == pytest.approx(179.8, abs=1)


def test_rasters_of_two_places(refused: Run, tmp_path: Path) -> None:
    truth, pred = mask(tmp_path / "t.tif"), mask(tmp_path / "p.tif", east=EAST + 5000)
    assert "do not overlap" in refused("evaluate", "pixels", truth, pred)


def test_rasters_of_two_sizes(refused: Run, tmp_path: Path) -> None:
    truth, pred = mask(tmp_path / "t.tif"), mask(tmp_path / "p.tif", side_px=32)
    assert "64 x 64" in refused("evaluate", "pixels", truth, pred)


@pytest.mark.parametrize("verb", [["evaluate", "roads"], ["evaluate", "topo"], ["diff"]])
def test_roads_of_two_places(verb: list[str], refused: Run, tmp_path: Path) -> None:
    truth = roads(tmp_path / "t.gpkg", MAIN)
    pred = roads(tmp_path / "p.gpkg", MAIN, east=EAST + 5000)
    assert "do not overlap" in refused(*verb, truth, pred)


def test_folders_of_two_places_say_where_each_is(refused: Run, tmp_path: Path) -> None:
    for name in "ab":
        truth = roads(tmp_path / "truth" / f"{name}.gpkg", MAIN).parent
        pred = roads(tmp_path / "pred" / f"{name}.gpkg", MAIN, east=EAST + 5000).parent
    told = refused("evaluate", "roads", truth, pred)
    assert "the first of 2 pairs, a: truth and prediction do not overlap" in told
    assert "truth is at (600000, 4000000, 600400, 4000000) of EPSG:32611" in told
    assert "prediction at (605000, 4000000, 605400, 4000000) of EPSG:32611" in told


@pytest.mark.parametrize("kind", ["roads", "topo"])
def test_a_pair_of_two_places_among_others_is_a_zero_and_named(
    kind: str, figures: Run, terralink: Run, tmp_path: Path
) -> None:
    for name, east in (("a", EAST), ("b", EAST + 5000)):
        truth = roads(tmp_path / "truth" / f"{name}.gpkg", MAIN).parent
        pred = roads(tmp_path / "pred" / f"{name}.gpkg", MAIN, east=east).parent
    record = figures(kind, truth, pred)
    assert record["apart"] == ["b"]
    assert [case["recall"] for case in record["cases"]] == [1, 0]
    assert "1 of the pairs, scored as 0: b" in terralink("evaluate", kind, truth, pred).out


def test_a_pair_with_nothing_on_one_side_does_not_make_two_places_one(
    refused: Run, tmp_path: Path
) -> None:
    truth = roads(tmp_path / "truth" / "a.gpkg", MAIN).parent
    pred = roads(tmp_path / "pred" / "a.gpkg", MAIN, east=EAST + 5000).parent
    roads(truth / "b.gpkg", MAIN)
    roads(pred / "b.gpkg")
    assert "do not overlap" in refused("evaluate", "roads", truth, pred)


@pytest.mark.parametrize("kind", ["roads", "topo", "buildings"])
def test_masks_of_one_place_may_differ_in_all_they_hold(
    kind: str, figures: Run, tmp_path: Path
) -> None:
    top = mask(tmp_path / "t.tif", (slice(2, 10), slice(None)))
    bottom = mask(tmp_path / "p.tif", (slice(54, 62), slice(None)))
    assert figures(kind, top, bottom)["figures"]["recall"] == 0


@pytest.mark.parametrize("kind", ["roads", "topo", "buildings"])
def test_masks_of_two_places_are_an_error_of_whatever_is_in_them(
    kind: str, refused: Run, tmp_path: Path
) -> None:
    truth = mask(tmp_path / "t.tif", (slice(28, 36), slice(None)))
    pred = mask(tmp_path / "p.tif", (slice(28, 36), slice(None)), east=EAST + 5000)
    assert "do not overlap" in refused("evaluate", kind, truth, pred)


@pytest.fixture
def pbf(tmp_path: Path) -> Path:
    """Two streets and a house of OpenStreetMap, written by pyosmium."""
    osmium = pytest.importorskip("osmium")
    path = tmp_path / "osm" / "town.osm.pbf"
    path.parent.mkdir()
    places = [(0, 0), (0.002, 0), (0.004, 0), (0.002, 0.003), (0.001, 0.001), (0.0013, 0.001)]
    places += [(0.0013, 0.0013), (0.001, 0.0013)]
    ways = [([1, 2, 3], "highway"), ([2, 4], "highway"), ([5, 6, 7, 8, 5], "building")]
    with osmium.SimpleWriter(str(path)) as writer:
        for number, place in enumerate(places, 1):
            writer.add_node(osmium.osm.mutable.Node(id=number, location=place))
        for number, (nodes, key) in enumerate(ways, 1):
            tags = {key: "residential"}
            writer.add_way(osmium.osm.mutable.Way(id=number, nodes=nodes, tags=tags))
    return path


def test_openstreetmaps_binary_form_is_read_as_roads_and_as_buildings(
    pbf: Path, figures: Run, terralink: Run, tmp_path: Path
) -> None:
    graph = RoadGraph.from_file(pbf, noding="vertices")
    assert sorted(graph.degree.tolist()) == [1, 1, 1, 3]
    pred = tmp_path / "pred"
    pred.mkdir()
    graph.to_file(pred / "town.gpkg")
    record = figures("roads", pbf.parent, pred)
    assert [case["name"] for case in record["cases"]] == ["town"]
    assert record["figures"]["f1"] == 1
    assert figures("buildings", pbf, pbf)["figures"]["found"] == 1
    ended = terralink("diff", pred / "town.gpkg", pbf, "--out", tmp_path / "d.gpkg", "--json")
    changes = json.loads(ended.out)
    assert "buildings" not in changes
    assert changes["roads"]["new"]["count"] == changes["roads"]["gone"]["count"] == 0


def test_vectors_where_masks_are_wanted(refused: Run, tmp_path: Path) -> None:
    path = roads(tmp_path / "t.gpkg", MAIN)
    assert "not a raster" in refused("evaluate", "pixels", path, path)


def test_roads_where_buildings_are_wanted(refused: Run, tmp_path: Path) -> None:
    path = roads(tmp_path / "t.gpkg", MAIN)
    assert "polygons" in refused("evaluate", "buildings", path, path)


def test_a_file_against_a_folder(refused: Run, tmp_path: Path) -> None:
    path = mask(tmp_path / "t.tif")
    assert "two files or two folders" in refused("evaluate", "pixels", path, tmp_path)


def test_folders_without_a_pair(refused: Run, tmp_path: Path) -> None:
    one, other = mask(tmp_path / "a" / "x.tif").parent, mask(tmp_path / "b" / "y.tif").parent
    assert "nothing to compare" in refused("evaluate", "pixels", one, other)


def test_a_stem_that_is_there_twice(refused: Run, tmp_path: Path) -> None:
    folder = mask(tmp_path / "a" / "x.tif").parent
    roads(folder / "x.gpkg", MAIN)
    assert "keep one of them" in refused("evaluate", "pixels", folder, folder)


@pytest.mark.parametrize("verb", [["evaluate", "roads"], ["evaluate", "buildings"], ["diff"]])
@pytest.mark.parametrize("name", ["none.gpkg", "text.gpkg", "text.osm", "text.graphml"])
def test_files_that_are_missing_or_not_what_they_are_named(
    verb: list[str], name: str, refused: Run, tmp_path: Path
) -> None:
    if name.startswith("text"):
        (tmp_path / name).write_text("not a map")
    assert name in refused(*verb, tmp_path / name, tmp_path / name)


def test_changes_in_another_form_than_geopackage(refused: Run, tmp_path: Path) -> None:
    path = roads(tmp_path / "t.gpkg", MAIN)
    assert ".gpkg" in refused("diff", path, path, "--out", tmp_path / "diff.shp")


def test_diff_tells_what_is_new_and_gone(terralink: Run, tmp_path: Path) -> None:
    now, old = roads(tmp_path / "now.gpkg", MAIN, SIDE), roads(tmp_path / "old.gpkg", MAIN)
    ended = terralink("diff", now, old, "--out", tmp_path / "diff.gpkg", "--json")
    record = json.loads(ended.out)
    assert record["roads"]["new"] == {"count": 1, "length_m": pytest.approx(400)}
    assert record["roads"]["gone"] == {"count": 0, "length_m": 0}
    assert (tmp_path / "diff.gpkg").exists()


def test_the_rules_that_were_gone_by_are_told(figures: Run, tmp_path: Path) -> None:
    path = houses(tmp_path / "t.gpkg", (0, 0))
    record = figures("buildings", path, path, "--min-area-m2", 20)
    assert record["rules"] == {"threshold": "none", "iou": 0.5, "min_area_m2": 20}


def polygons(path: Path, *rings: list[list[float]]) -> Path:
    shapes = ({"type": "Polygon", "coordinates": [ring]} for ring in rings)
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


ROOF = [[0.0, 0.0, 9.0], [2e-4, 0.0, 9.0], [2e-4, 2e-4, 9.0], [0.0, 2e-4, 9.0], [0.0, 0.0, 9.0]]
BOW = [ROOF[0], ROOF[2], ROOF[1], ROOF[3], ROOF[0]]


@pytest.mark.parametrize("ring", [ROOF, BOW])
def test_buildings_of_geojson_without_crs_with_heights_or_that_cross_themselves(
    ring: list[list[float]], figures: Run, terralink: Run, tmp_path: Path
) -> None:
    path = polygons(tmp_path / "t.geojson", ring)
    assert figures("buildings", path, path)["figures"]["f1"] == 1
    ended = terralink("diff", path, path, "--out", tmp_path / "diff.gpkg", "--json")
    assert json.loads(ended.out)["buildings"]["matched"]["count"] == 1


@pytest.mark.parametrize("verb", [["evaluate", "buildings"], ["diff"]])
def test_buildings_of_two_places(verb: list[str], refused: Run, tmp_path: Path) -> None:
    truth, pred = houses(tmp_path / "t.gpkg", (0, 0)), houses(tmp_path / "p.gpkg", (5000, 0))
    assert "do not overlap" in refused(*verb, truth, pred)


@pytest.mark.parametrize("kind", ["pixels", "patches", "roads", "topo", "buildings"])
def test_pixels_that_are_not_a_number_are_not_judged(
    kind: str, figures: Run, tmp_path: Path
) -> None:
    grid = Grid((64, 64), Affine(1, 0, EAST, 0, -1, NORTH), UTM)
    array = np.zeros((1, 64, 64), np.float32)
    array[0, 30:39] = 0.9
    array[0, :16] = np.nan
    with RasterWriter(tmp_path / "p.tif", grid, dtype="float32") as writer:
        writer.write(0, 0, array)
    truth = mask(tmp_path / "t.tif", (slice(30, 39), slice(None)), (slice(0, 8), slice(None)))
    found = figures(kind, truth, tmp_path / "p.tif", "--threshold", 0.5)["figures"]
    if kind in ("pixels", "patches"):
        assert found["recall"] == 1
    assert found["precision"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["roads", "topo", "buildings"])
def test_a_mask_against_an_empty_one_is_a_zero(kind: str, figures: Run, tmp_path: Path) -> None:
    some = mask(tmp_path / "t.tif", (slice(28, 36), slice(None)))
    empty = mask(tmp_path / "p.tif")
    assert figures(kind, some, empty)["figures"]["recall"] == 0
    assert figures(kind, empty, some)["figures"]["precision"] == 0
