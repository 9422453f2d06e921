"""Buildings and land cover to files: what is written is read again, and QGIS finds its style."""

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import geopandas as gpd
import pytest
from pyproj import CRS
from shapely import box

from terralink.errors import InputError
from terralink.vectorize import write_buildings, write_landcover

UTM = CRS.from_epsg(32611)


def table(columns: dict[str, list[float]], crs: CRS | None = UTM) -> gpd.GeoDataFrame:
    shapes = [box(600000 + 20 * i, 4e6, 600010 + 20 * i, 4e6 + 10) for i in range(2)]
    count = len(next(iter(columns.values())))
    return gpd.GeoDataFrame(columns, geometry=shapes[:count], crs=crs)


def style(path: Path, layer: str) -> ElementTree.Element:
    with closing(sqlite3.connect(path)) as base:
        asked = "SELECT styleQML FROM layer_styles WHERE f_table_name = ? AND useAsDefault"
        [(qml,)] = base.execute(asked, [layer])
    return ElementTree.fromstring(qml)


def test_buildings_come_back_as_they_were_with_a_style(tmp_path: Path) -> None:
    given = table({"area_m2": [100.0, 100.0], "prob": [0.5, 0.9]})
    write_buildings(tmp_path / "map.gpkg", given)
    found = gpd.read_file(tmp_path / "map.gpkg", layer="buildings")
    assert found.prob.tolist() == [0.5, 0.9]
    assert found.geometry.geom_equals(given.geometry).all()
    assert found.crs == UTM
    symbol = style(tmp_path / "map.gpkg", "buildings").find(".//symbol")
    assert symbol is not None
    assert symbol.get("type") == "fill"


def test_each_class_has_a_colour_of_its_own(tmp_path: Path) -> None:
    write_landcover(tmp_path / "map.gpkg", table({"class": [2, 5]}))
    root = style(tmp_path / "map.gpkg", "landcover")
    assert [each.get("value") for each in root.iter("category")] == ["2", "5"]
    colours = {each.get("value") for each in root.iter("Option") if each.get("name") == "color"}
    assert len(colours) == 2


def test_geojson_is_longitude_and_latitude(tmp_path: Path) -> None:
    write_buildings(tmp_path / "map.geojson", table({"area_m2": [100.0]}))
    found = gpd.read_file(tmp_path / "map.geojson")
    assert found.crs.to_epsg() == 4326
    assert found.to_crs(UTM).area[0] == pytest.approx(100, rel=1e-3)


def test_an_empty_table_is_an_empty_layer(tmp_path: Path) -> None:
    write_buildings(tmp_path / "map.gpkg", table({"area_m2": []}))
    write_landcover(tmp_path / "cover.gpkg", table({"class": []}))
    assert len(gpd.read_file(tmp_path / "map.gpkg", layer="buildings")) == 0
    assert list(style(tmp_path / "cover.gpkg", "landcover").iter("category")) == []


def test_another_form_or_no_crs_for_geojson_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name it \.gpkg or \.geojson"):
        write_buildings(tmp_path / "map.shp", table({"area_m2": [1.0]}))
    with pytest.raises(InputError, match="no CRS"):
        write_buildings(tmp_path / "map.geojson", table({"area_m2": [1.0]}, None))
    assert list(tmp_path.iterdir()) == []
