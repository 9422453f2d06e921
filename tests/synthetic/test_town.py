"""The drawn town: the same in every window, in every size, and true to its own truth."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.features import rasterize

from terralink import synthetic
from terralink.errors import InputError
from terralink.raster import read_raster

SHAPE = (700, 900)
TOWN = synthetic.draw(SHAPE, seed=4, pixel_size_m=0.8, style="suburb")


@st.composite
def windows(draw: st.DrawFn) -> tuple[int, int, tuple[int, int]]:
    row, col = draw(st.integers(0, SHAPE[0] - 1)), draw(st.integers(0, SHAPE[1] - 1))
    height, width = draw(st.integers(1, SHAPE[0] - row)), draw(st.integers(1, SHAPE[1] - col))
    return row, col, (height, width)


@given(window=windows())
@settings(max_examples=25, deadline=None)
def test_any_window_is_that_part_of_the_whole(window: tuple[int, int, tuple[int, int]]) -> None:
    row, col, (height, width) = window
    here = (slice(row, row + height), slice(col, col + width))
    assert np.array_equal(TOWN.image(*window), TOWN.image(0, 0, SHAPE)[:, *here])
    assert np.array_equal(TOWN.road_mask(*window), TOWN.road_mask(0, 0, SHAPE)[here])
    assert np.array_equal(TOWN.landcover(*window), TOWN.landcover(0, 0, SHAPE)[here])


def test_the_order_of_windows_does_not_matter() -> None:
    backwards = synthetic.draw(SHAPE, seed=4, pixel_size_m=0.8, style="suburb")
    last = backwards.image(600, 800, (100, 100))
    assert np.array_equal(last, TOWN.image(600, 800, (100, 100)))
    assert np.array_equal(backwards.image(0, 0, SHAPE), TOWN.image(0, 0, SHAPE))


def test_a_larger_scene_of_the_same_seed_begins_with_the_smaller_one() -> None:
    larger = synthetic.draw((1100, 1400), seed=4, pixel_size_m=0.8, style="suburb")
    assert np.array_equal(larger.image(0, 0, (512, 512)), TOWN.image(0, 0, (512, 512)))


def test_blocks_meet_without_a_seam() -> None:
    """Across the edge of two blocks levels change no more than they do elsewhere."""
    image = TOWN.image(0, 0, SHAPE).astype(float)
    steps = np.abs(np.diff(image, axis=2)).mean(axis=(0, 1))
    assert steps[511] < 1.25 * steps[480:544].mean()


def test_seeds_make_different_towns() -> None:
    one, other = (synthetic.draw((128, 128), seed=seed).image(0, 0, (128, 128)) for seed in (1, 2))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("style", synthetic.STYLES)
@pytest.mark.parametrize(("side", "pixel_size_m"), [(1, 0.5), (200, 0.3), (333, 1.0), (64, 4.0)])
def test_every_style_is_drawn_at_every_size(style: str, side: int, pixel_size_m: float) -> None:
    drawn = synthetic.draw((side, side + 3), seed=9, pixel_size_m=pixel_size_m, style=style)
    assert drawn.image(0, 0, drawn.grid.shape).shape == (3, side, side + 3)
    assert drawn.landcover(0, 0, drawn.grid.shape).max() <= max(synthetic.LandCover.BUILDING, 0)
    assert drawn.roads.crs == CRS.from_epsg(32611)
    assert drawn.buildings.is_valid.all()


@pytest.mark.parametrize("style", synthetic.STYLES)
def test_a_picture_has_a_photo_s_range_of_levels(style: str) -> None:
    drawn = synthetic.draw((300, 300), seed=3, pixel_size_m=1, style=style)
    image = drawn.image(0, 0, (300, 300))
    assert 25 < image.mean() < 230
    assert image.std() > 8


def test_the_road_mask_is_the_graph_burned_at_its_widths() -> None:
    roads, mask = TOWN.roads, TOWN.road_mask(0, 0, SHAPE)
    ribbons = shapely.buffer(roads.lines, roads.width_m / 2)
    burned = rasterize(ribbons, out_shape=SHAPE, transform=TOWN.grid.transform).astype(bool)
    assert not (burned & ~mask).sum() > 0.002 * burned.sum()
    # What is more in the mask are turning circles and roads that only touch the edge.
    assert (mask & burned).sum() / mask.sum() > 0.95


def test_land_cover_and_road_mask_agree() -> None:
    classes, mask = TOWN.landcover(0, 0, SHAPE), TOWN.road_mask(0, 0, SHAPE)
    assert np.array_equal(classes == synthetic.LandCover.ROAD, mask)


@pytest.mark.parametrize("style", synthetic.STYLES)
def test_buildings_are_valid_apart_and_off_the_roads(style: str) -> None:
    drawn = synthetic.draw((700, 700), seed=11, pixel_size_m=1, style=style)
    polygons, roads = drawn.buildings.geometry.to_numpy(), drawn.roads
    tree = shapely.STRtree(polygons)
    one, other = tree.query(polygons, predicate="overlaps")
    assert not len(one), (one[:3], other[:3])
    assert (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON).all()
    assert shapely.is_valid(polygons).all()
    ribbons = shapely.buffer(roads.lines, roads.width_m / 2)
    hit = tree.query(ribbons, predicate="intersects")
    assert not hit.size


@pytest.mark.parametrize("style", synthetic.STYLES)
def test_nearly_all_roads_hang_together(style: str) -> None:
    drawn = synthetic.draw((1200, 1200), seed=2, pixel_size_m=1, style=style)
    roads = drawn.roads
    labels = roads.components()
    # Beyond the edge of the scene pieces are joined that are apart within it; motorways are apart.
    longest = np.bincount(labels[roads.edges[:, 0]], weights=roads.length_m).max()
    assert longest > 0.6 * roads.length_m.sum()
    assert (roads.degree[roads.degree > 2] <= 5).all()


def test_junctions_lie_where_three_roads_meet_and_nothing_crosses_elsewhere() -> None:
    """Lines cross away from a junction on bridges only: over a motorway."""
    roads = TOWN.roads
    streets = roads.lines[roads.width_m != 11.5]
    one, other = shapely.STRtree(streets).query(streets, predicate="crosses")
    assert not len(one), [streets[one[0]].wkt, streets[other[0]].wkt]


def test_a_motorway_is_two_lines_that_main_roads_cross_without_a_junction() -> None:
    drawn = next(
        made
        for seed in range(40)
        if (made := synthetic.draw((900, 900), seed=seed, pixel_size_m=1, style="arid"))
        and (made.roads.width_m == 11.5).sum() >= 2
    )
    roads = drawn.roads
    carriageways = roads.lines[roads.width_m == 11.5]
    others = roads.lines[roads.width_m != 11.5]
    assert len(carriageways) % 2 == 0
    crossings = shapely.intersects(carriageways[:, None], others[None, :])
    met = np.intersect1d(roads.edges[roads.width_m == 11.5], roads.edges[roads.width_m != 11.5])
    assert not len(met)
    assert crossings.sum() <= 2 * len(others)


def test_it_is_written_as_a_tiled_georeferenced_file(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    drawn = synthetic.draw((600, 530), seed=5)
    drawn.write(tmp_path / "town.tif", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (600 * 530, 600 * 530)
    assert told == sorted(told)
    back = read_raster(tmp_path / "town.tif")
    assert np.array_equal(back.array, drawn.image(0, 0, (600, 530)))
    assert back.grid == drawn.grid
    with rasterio.open(tmp_path / "town.tif") as file:
        assert file.profile["tiled"]
        assert file.profile["compress"]


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:2154", None])
def test_any_crs_has_metres_in_its_truth(crs: str | None) -> None:
    drawn = synthetic.draw((256, 256), seed=6, pixel_size_m=1, style="oldtown", crs=crs)
    plain = synthetic.draw((256, 256), seed=6, pixel_size_m=1, style="oldtown")
    assert drawn.grid.pixel_size_m == pytest.approx((1, 1), rel=0.01)
    assert np.array_equal(drawn.image(0, 0, (256, 256)), plain.image(0, 0, (256, 256)))
    assert drawn.roads.length_m.sum() == pytest.approx(plain.roads.length_m.sum(), rel=0.01)


def test_what_cannot_be_drawn_is_told_in_one_line() -> None:
    with pytest.raises(InputError, match="did you mean 'suburb'"):
        synthetic.draw((10, 10), style="subburb")
    with pytest.raises(InputError, match="at least one pixel"):
        synthetic.draw((0, 10))
    with pytest.raises(InputError, match="per pixel"):
        synthetic.draw((10, 10), pixel_size_m=0)
    with pytest.raises(InputError, match="sticks out"):
        TOWN.image(690, 0, (20, 20))
