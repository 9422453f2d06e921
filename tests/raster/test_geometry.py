import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from terralink.errors import InputError
from terralink.raster import Area, Grid, SceneOptions, open_scene
from terralink.raster.source import Source
from terralink.vector.layers import read_area

UTM = CRS.from_epsg(32611)
GRID = Grid((300, 400), Affine(0.5, 0, 600000, 0, -0.5, 4000000), UTM)
CORNER, SIZE = st.integers(-40, 390), st.integers(1, 200)


def area_of(*pixels: tuple[int, int, int, int]) -> Area:
    """Boxes (left, top, right, bottom) in the pixels of GRID."""
    boxes = [shapely.box(*each) for each in pixels]
    shape = shapely.transform(
        shapely.union_all(boxes), lambda xs, ys: GRID.xy(xs, ys), interleaved=False
    )
    return Area(shape, UTM, "the park")


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    levels = np.random.default_rng(2).integers(60, 190, (3, *GRID.shape), dtype=np.uint8)
    size = {"count": 3, "height": 300, "width": 400, "dtype": "uint8"}
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32611", transform=GRID.transform, **size, **tiled
    ) as dataset:
        dataset.write(levels)
    return path


@given(st.tuples(CORNER, CORNER, SIZE, SIZE), st.tuples(CORNER, CORNER, SIZE, SIZE))
def test_a_pixel_is_inside_when_its_centre_is(
    box_px: tuple[int, int, int, int], window: tuple[int, int, int, int]
) -> None:
    (left, top, width, height), (col, row, cols, rows) = box_px, window
    area = area_of((left, top, left + width, top + height), (0, 0, 3, 5))
    inside = area.to_pixels(GRID).mask(row, col, (rows, cols))
    x = np.arange(col, col + cols) + 0.5
    y = np.arange(row, row + rows)[:, None] + 0.5
    boxed = (left < x) & (x < left + width) & (top < y) & (y < top + height)
    assert (inside == (boxed | ((x > 0) & (x < 3) & (y > 0) & (y < 5)))).all()


@pytest.mark.parametrize("pixel_size_m", [None, 1.0, 1.3])
def test_a_scene_ends_around_its_area_and_is_the_same_inside(
    scene: Path, pixel_size_m: float | None
) -> None:
    area = area_of((40, 50, 160, 130), (200, 140, 220, 180))
    with (
        open_scene(scene, pixel_size_m=pixel_size_m) as whole,
        open_scene(scene, SceneOptions(area=area), pixel_size_m=pixel_size_m) as part,
    ):
        assert part.grid.height < whole.grid.height / 2
        near = part.read(-3, -3, (part.grid.height + 6, part.grid.width + 6))
        col, row = (round(float(at)) for at in whole.grid.colrow(*near.grid.xy(0, 0)))
        there = whole.read(row, col, near.grid.shape)
        assert near.valid is not None
        assert 0 < near.valid.mean() < 1
        assert (near.array == there.array).all()
        assert (near.valid == area.to_pixels(whole.grid).mask(row, col, near.grid.shape)).all()
        assert part.stretch == whole.stretch


def test_what_does_not_touch_the_area_is_not_read(
    scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_scene(
        scene, SceneOptions(area=area_of((0, 0, 20, 20), (380, 280, 400, 300)))
    ) as part:
        assert part.stretch
        monkeypatch.delattr(Source, "read")
        between = part.read(100, 100, (64, 64))
        assert between.valid is not None
        assert not between.valid.any()


def test_bounds_in_degrees_are_found_in_any_crs(scene: Path) -> None:
    to_degrees = Transformer.from_crs(UTM, 4326, always_xy=True)
    bounds = to_degrees.transform_bounds(600010, 3999900, 600090, 3999980)
    with open_scene(scene, SceneOptions(area=Area.from_bounds(bounds))) as part:
        assert part.grid.bounds == pytest.approx((600010, 3999900, 600090, 3999980), abs=3)


@pytest.fixture
def geojson(tmp_path: Path) -> Callable[..., Path]:
    def write(*shapes: shapely.Geometry) -> Path:
        path = tmp_path / "area.geojson"
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(each)}
            for each in shapes
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    return write


def test_all_polygons_of_a_file_are_one_area(geojson: Callable[..., Path]) -> None:
    bowtie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    path = geojson(bowtie, shapely.Point(9, 9), shapely.box(10, 10, 11, 11))
    assert read_area(path).shape.area == pytest.approx(3)


def test_a_file_without_polygons_is_refused(geojson: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="holds no polygon"):
        read_area(geojson(shapely.LineString([(0, 0), (1, 1)])))


def test_an_area_elsewhere_is_told_with_both_places(scene: Path) -> None:
    with (
        pytest.raises(InputError, match=r"do not meet: .*9\.0000,47.*the scene is at -115"),
        open_scene(scene, SceneOptions(area=Area.from_bounds((9, 47, 9.5, 47.2)))),
    ):
        pass


def test_an_area_that_only_touches_the_scene_is_elsewhere() -> None:
    with pytest.raises(InputError, match="do not meet"):
        area_of((-50, 0, 0, 300)).to_pixels(GRID)


def test_a_scene_without_a_crs_has_no_areas() -> None:
    with pytest.raises(InputError, match="no CRS"):
        Area.from_bounds((9, 47, 9.5, 47.2)).to_pixels(Grid((9, 9), Affine.identity()))


@pytest.mark.parametrize(
    "bounds", [(9.5, 47, 9, 48), (9, 48, 10, 47), (9, 47, 10), (600000, 3999900, 600100, 4000000)]
)
def test_bounds_that_are_none_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="west,south,east,north"):
        Area.from_bounds(bounds)
