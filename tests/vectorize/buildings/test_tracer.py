"""Masks of roofs to polygons: right angles, neighbours, holes, and the same map however cut."""

import functools
from collections.abc import Callable

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS
from scipy import ndimage
from shapely import Polygon
from shapely.affinity import rotate, translate

from terralink import synthetic
from terralink.errors import InputError
from terralink.raster import Grid, Raster
from terralink.vector.rasterize import burn
from terralink.vectorize import BuildingOptions, BuildingTracer, trace_buildings
from terralink.vectorize.buildings.edges import measure_blur_px

UTM = CRS.from_epsg(32611)
PIXELS = Affine.identity()
PLACE = Affine(0.3, 0, 664000, 0, -0.3, 4006000)


def grid(shape: tuple[int, int], transform: Affine = PIXELS) -> Grid:
    return Grid(shape, transform, None if transform.is_identity else UTM)


def seen(shape: tuple[int, int], *roofs: Polygon) -> Raster:
    """Roofs, in pixels, as a mask."""
    return Raster(burn(roofs, grid(shape)).astype(np.float32), grid(shape))


def iou(a: NDArray[np.object_], b: NDArray[np.object_]) -> NDArray[np.float64]:
    shared, either = shapely.intersection(a, b), shapely.union(a, b)
    return np.asarray(shapely.area(shared) / shapely.area(either), np.float64)


def off_square_degrees(polygon: Polygon) -> NDArray[np.float64]:
    """How far from a right angle each corner is."""
    walls = np.diff(shapely.get_coordinates(polygon), axis=0) @ [1, 1j]
    turn = np.angle(np.roll(walls, -1) / walls, deg=True)
    return np.asarray(np.abs((turn + 45) % 90 - 45))


def in_bands(prob: Raster, height: int) -> gpd.GeoDataFrame:
    tracer = BuildingTracer()
    for start in range(0, prob.grid.height, height):
        tracer.add(prob.rows(start, min(start + height, prob.grid.height)))
    return tracer.finish()


@functools.cache
def drawn_town() -> tuple[Raster, gpd.GeoDataFrame]:
    drawn = synthetic.draw((1500, 1500), seed=3, pixel_size_m=0.3)
    truth = drawn.buildings
    return Raster(burn(truth.geometry, drawn.grid), drawn.grid), truth


def turned(wide: float, long: float, angle: float, shift: float) -> Polygon:
    roof = rotate(shapely.box(60 - wide / 2, 60 - long / 2, 60 + wide / 2, 60 + long / 2), angle)
    return translate(roof, shift, shift / 2)


@given(
    angle=st.floats(0, 90), wide=st.floats(20, 60), long=st.floats(20, 60), shift=st.floats(0, 1)
)
@settings(deadline=None)
def test_a_rectangle_is_found_again_however_it_is_turned(
    angle: float, wide: float, long: float, shift: float
) -> None:
    roof = turned(wide, long, angle, shift)
    table = trace_buildings(seen((120, 120), roof))
    assert len(table) == 1
    assert iou(table.geometry.to_numpy(), np.array([roof]))[0] > 0.9


def field(count: int, *, notch: float) -> NDArray[np.object_]:
    """Roofs of all sizes and directions in lots of 100 px; a ``notch`` makes them an L."""
    rng = np.random.default_rng(5)
    roofs = []
    for number in range(count):
        wide, long = rng.uniform(8 + 16 * (notch > 0), 60, 2)
        roof = shapely.box(0, 0, wide, long)
        roof -= shapely.box(wide * (1 - notch), long * (1 - notch), wide, long)
        roof = rotate(roof, rng.uniform(0, 90), origin=(wide / 2, long / 2))
        lot = 100 * np.array(divmod(number, 20)) + (50 - wide / 2, 50 - long / 2)
        roofs.append(translate(roof, *(lot + rng.uniform(0, 1, 2))))
    return np.array(roofs, dtype=object)


@pytest.mark.parametrize(("notch", "corners"), [(0, 4), (0.45, 6)])
def test_rectangles_and_ls_get_their_right_angles_back_however_they_are_turned(
    notch: float, corners: int
) -> None:
    roofs = field(300, notch=notch)
    mask = seen((2000, 1500), *roofs)
    regular, plain = (
        trace_buildings(mask).geometry,
        trace_buildings(mask, BuildingOptions(right_angles=False)).geometry,
    )
    nearest = shapely.STRtree(roofs).nearest(shapely.centroid(regular))
    truth = roofs[nearest]
    squared = [
        len(found.exterior.coords) - 1 == corners and off_square_degrees(found).max() < 1e-6
        for found in regular
    ]
    assert sorted(nearest) == list(range(300))
    assert np.mean(squared) >= 0.99
    assert (iou(np.asarray(regular), truth) > iou(np.asarray(plain), truth) - 0.02).all()


def test_a_corner_that_is_cut_on_the_ground_stays_cut() -> None:
    roof = Polygon([(0, 0), (40, 0), (40, 22), (32, 30), (0, 30)])
    found = trace_buildings(seen((80, 80), translate(rotate(roof, 20), 20, 20))).geometry.iloc[0]
    assert len(found.exterior.coords) - 1 == 5


Shape = Callable[[np.random.Generator], Polygon]


def rectangle(rng: np.random.Generator) -> Polygon:
    return shapely.box(0, 0, *rng.uniform(8, 20, 2))


def hexagon(rng: np.random.Generator) -> Polygon:
    radius_m, angle = rng.uniform(8, 12), np.arange(6) * np.pi / 3
    return Polygon(radius_m * np.column_stack([np.cos(angle), np.sin(angle)]))


def trapezoid(rng: np.random.Generator) -> Polygon:
    base, high = rng.uniform((16, 9), (24, 15))
    top = base * rng.uniform(0.45, 0.7)
    return Polygon([(-base / 2, 0), (base / 2, 0), (top / 2, high), (-top / 2, high)])


def ell(rng: np.random.Generator) -> Polygon:
    wide, long = rng.uniform(14, 22, 2)
    return shapely.box(0, 0, wide, long) - shapely.box(wide / 2, long / 2, wide, long)


def tee(rng: np.random.Generator) -> Polygon:
    wide, long, arm = rng.uniform((20, 20, 7), (26, 26, 9))
    upright = shapely.box(wide / 2 - arm / 2, 0, wide / 2 + arm / 2, long)
    return shapely.box(0, 0, wide, arm) | upright


def you(rng: np.random.Generator) -> Polygon:
    wide, long, arm = rng.uniform((22, 22, 6.5), (28, 28, 8))
    return shapely.box(0, 0, wide, long) - shapely.box(arm, arm, wide - arm, long)


def blurred(make: Shape, blur_px: float, *, count: int = 60) -> tuple[Raster, NDArray[np.object_]]:
    """Shapes turned and shifted at random in lots of 64 m, as blurred bytes of 0.5 m pixels."""
    rng, across = np.random.default_rng(11), 8
    place = Affine(0.5, 0, 0, 0, -0.5, 64 * across)
    shapes = []
    for number in range(count):
        shape = make(rng)
        shape = rotate(shape, rng.uniform(0, 360), origin="centroid")
        lot = 64 * np.array(divmod(number, across)) + 32 + rng.uniform(0, 0.5, 2)
        shapes.append(translate(shape, *(lot - shape.centroid.coords[0])))
    where = Grid((128 * across, 128 * across), place, UTM)
    mask = ndimage.gaussian_filter(burn(shapes, where).astype(np.float32), blur_px)
    return Raster(np.rint(mask * 255).astype(np.uint8), where), np.array(shapes, dtype=object)


@pytest.mark.parametrize("blur_px", [0, 1.5, 2, 3])
@pytest.mark.parametrize(
    ("make", "corners", "square"),
    [
        (rectangle, 4, True),
        (hexagon, 6, False),
        (trapezoid, 4, False),
        (ell, 6, True),
        (tee, 8, True),
        (you, 8, True),
    ],
)
def test_shapes_come_back_with_their_corners_however_blurred_and_turned(
    make: Shape, corners: int, square: bool, blur_px: float
) -> None:
    prob, truth = blurred(make, blur_px)
    found = trace_buildings(prob).geometry.to_numpy()
    nearest = shapely.STRtree(truth).nearest(shapely.centroid(found))
    right = np.array([len(shape.exterior.coords) - 1 == corners for shape in found])
    if square:
        right &= np.array([off_square_degrees(shape).max() < 1e-6 for shape in found])
    assert sorted(nearest) == list(range(60))
    assert right.mean() >= (0.95 if make is not hexagon else 0.9)
    assert np.median(iou(found, truth[nearest])) > (0.98 if blur_px < 3 else 0.97)


def test_the_tolerance_is_of_the_blur_that_is_there_not_of_the_threshold() -> None:
    prob, truth = blurred(rectangle, 3)
    for threshold in (0.35, 0.65):
        found = trace_buildings(prob, BuildingOptions(threshold=threshold)).geometry
        assert np.mean([len(shape.exterior.coords) == 5 for shape in found]) >= 0.95
    faint = Raster((prob.array * np.float32(0.8 / 255)), prob.grid)
    found = trace_buildings(faint, BuildingOptions(threshold=0.4)).geometry
    assert np.mean([len(shape.exterior.coords) == 5 for shape in found]) >= 0.95
    assert len(found) == len(truth)


@pytest.mark.parametrize("height", [37, 200, 700])
def test_a_blurred_scene_in_bands_has_the_buildings_of_one_in_one_piece(height: int) -> None:
    prob, _ = blurred(tee, 2)
    assert trace_buildings(prob).equals(in_bands(prob, height))


def test_what_rises_like_a_gaussian_has_its_blur() -> None:
    for blur_px in (0, 1, 2, 3, 4.5):
        prob, _ = blurred(rectangle, blur_px)
        labels, count = ndimage.label(prob.array >= 128)
        found = measure_blur_px(labels, prob.array, min_value=128)
        assert (len(found), found[0]) == (count + 1, 0)
        assert np.median(found[1:]) == pytest.approx(blur_px, abs=0.15)


def test_the_last_rows_may_be_empty_wherever_a_band_ends() -> None:
    mask = np.zeros((1024, 30), np.float32)
    mask[5:15, 5:15] = 1
    for height in (512, 1024):
        assert len(trace_buildings(Raster(mask[:height], grid((height, 30))))) == 1
    assert len(trace_buildings(Raster(mask[:0], grid((0, 30))))) == 0


def test_an_l_has_six_corners_and_a_court_is_a_hole() -> None:
    ell = Polygon([(0, 0), (60, 0), (60, 20), (25, 20), (25, 50), (0, 50)])
    court = shapely.box(0, 0, 60, 60) - shapely.box(20, 20, 40, 40)
    shapes = [translate(rotate(ell, 20), 30, 30), translate(rotate(court, 35), 120, 40)]
    table = trace_buildings(seen((140, 220), *shapes))
    corners = [len(shape.exterior.coords) - 1 for shape in table.geometry]
    holes = [len(shape.interiors) for shape in table.geometry]
    assert sorted(zip(corners, holes, strict=True)) == [(4, 1), (6, 0)]


def test_a_round_roof_stays_round() -> None:
    roof = shapely.Point(50, 50).buffer(30)
    found = trace_buildings(seen((100, 100), roof)).geometry.iloc[0]
    assert iou(np.array([found]), np.array([roof]))[0] > 0.95
    assert len(found.exterior.coords) > 8


def test_no_building_of_a_town_gets_worse_and_most_get_better() -> None:
    mask, truth = drawn_town()
    table = trace_buildings(mask)
    outlines = trace_buildings(mask, BuildingOptions(right_angles=False))
    assert len(table) == len(outlines)
    nearest = np.asarray(truth.geometry)[
        shapely.STRtree(truth.geometry).nearest(shapely.point_on_surface(table.geometry))
    ]
    regular, plain = (
        iou(np.asarray(table.geometry), nearest),
        iou(np.asarray(outlines.geometry), nearest),
    )
    assert np.median(regular) > 0.98
    assert regular.mean() > plain.mean()
    assert (regular > plain - 0.05).all()
    assert shapely.is_valid(table.geometry).all()
    assert table.crs == UTM
    np.testing.assert_allclose(table.area_m2, table.geometry.area)
    np.testing.assert_allclose(table.prob, 1)


@pytest.mark.parametrize("height", [37, 200, 700])
def test_a_scene_in_bands_has_the_buildings_of_one_in_one_piece(height: int) -> None:
    mask, _ = drawn_town()
    whole, cut = trace_buildings(mask), in_bands(mask, height)
    assert whole.geometry.equals(cut.geometry)
    assert whole.equals(cut)


def test_roofs_that_touch_are_told_apart_at_a_neck() -> None:
    one, other = shapely.box(10, 10, 50, 50), shapely.box(49, 38, 90, 80)
    table = trace_buildings(seen((100, 100), one, other))
    assert len(table) == 2
    assert table.geometry.iloc[0].intersection(table.geometry.iloc[1]).area < 1e-6
    assert len(trace_buildings(seen((100, 100), one, other), BuildingOptions(neck=0))) == 1


def test_roofs_that_touch_along_a_wall_are_told_apart_by_their_border() -> None:
    both = np.zeros((2, 60, 100), np.float32)
    both[0, 10:50, 10:90] = 0.9
    both[1, 10:50, 48:52] = 0.8
    table = trace_buildings(Raster(both, grid((60, 100))))
    np.testing.assert_allclose(table.area_m2, 1600, rtol=0.01)


def test_small_buildings_go_and_small_holes_are_filled() -> None:
    court = shapely.box(10, 10, 40, 40) - shapely.box(20, 20, 22, 22)
    speck = shapely.box(50, 10, 53, 13)
    table = trace_buildings(seen((50, 60), court, speck))
    assert table.area_m2.tolist() == [900]
    table = trace_buildings(
        seen((50, 60), court, speck), BuildingOptions(min_area_m2=1, min_hole_m2=1, simplify_m=0)
    )
    assert table.area_m2.tolist() == [896, 9]


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_whatever_the_mask_shapes_are_valid_apart_and_the_same_in_bands(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.random((12, 12)) < rng.random()
    mask = np.kron(coarse, np.ones((5, 7))) * (rng.random((60, 84)) < 0.98)
    prob = Raster(mask.astype(np.float32), grid((60, 84)))
    table = trace_buildings(prob, BuildingOptions(min_area_m2=4, min_hole_m2=2))
    assert shapely.is_valid(table.geometry).all()
    assert (shapely.get_type_id(table.geometry) == 3).all()
    if len(table):
        assert table.area_m2.sum() - shapely.union_all(table.geometry).area < 1e-3
    assert len(in_bands(prob, 7)) == len(trace_buildings(prob))


def test_probabilities_are_meant_over_valid_pixels_only() -> None:
    prob = np.full((40, 40), np.nan, np.float32)
    prob[10:30, 10:30] = 0.6
    prob[10:30, 20:30] = 0.8
    valid = np.ones((40, 40), bool)
    valid[:, 28:] = False
    table = trace_buildings(Raster(prob, grid((40, 40)), valid))
    assert table.area_m2.tolist() == [20 * 18]
    assert table.prob[0] == pytest.approx((10 * 0.6 + 8 * 0.8) / 18, abs=1 / 255)


def test_an_empty_mask_is_an_empty_map_with_its_crs() -> None:
    table = trace_buildings(Raster(np.zeros((30, 20), np.uint8), grid((30, 20), PLACE)))
    assert len(table) == 0
    assert table.crs == UTM
    assert list(table.columns) == ["area_m2", "prob", "geometry"]
    assert len(BuildingTracer().finish()) == 0


def test_a_mask_that_is_all_building_is_one() -> None:
    table = trace_buildings(Raster(np.ones((60, 40), np.float32), grid((60, 40))))
    assert table.area_m2.tolist() == [2400]


def test_one_pixel_is_a_square_when_that_is_enough() -> None:
    one = Raster(np.ones((1, 1), np.float32), grid((1, 1)))
    assert len(trace_buildings(one)) == 0
    assert trace_buildings(one, BuildingOptions(min_area_m2=1)).area_m2.tolist() == [1]


def test_degrees_become_metres() -> None:
    degrees = Grid((80, 80), Affine(2.7e-6, 0, -115.17, 0, -2.7e-6, 36.24), CRS.from_epsg(4326))
    mask = np.zeros((80, 80), bool)
    mask[20:60, 20:60] = True
    across, down = degrees.pixel_size_m
    table = trace_buildings(Raster(mask, degrees))
    assert table.crs.to_epsg() == 32611
    assert table.area_m2[0] == pytest.approx(1600 * across * down, rel=0.01)


def test_what_cannot_be_a_probability_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="0 to 1"):
        trace_buildings(Raster(np.full((3, 3), 7.0), grid((3, 3))))
    with pytest.raises(InputError, match="two"):
        trace_buildings(Raster(np.zeros((3, 4, 4), np.uint8), grid((4, 4))))
    with pytest.raises(InputError, match="threshold"):
        BuildingTracer(BuildingOptions(threshold=0))
    with pytest.raises(InputError, match="neck"):
        BuildingTracer(BuildingOptions(neck=2))
    tracer = BuildingTracer()
    tracer.add(Raster(np.zeros((4, 4)), grid((4, 4))))
    with pytest.raises(InputError, match="does not follow"):
        tracer.add(Raster(np.zeros((4, 4)), grid((4, 4))))
