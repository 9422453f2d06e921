"""Tiles that cover a scene, share enough, start on the ground's lattice and waste little."""

from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import CRS

from terralink.inference.tile_plan import TilePlan
from terralink.model_card import Metadata
from terralink.raster import Grid

UTM = CRS.from_epsg(32611)


def through(height: int, width: int, *, first: tuple[int, int] = (0, 0), **card: int) -> TilePlan:
    transform = Affine(1, 0, 500_000 + first[1], 0, -1, 4_000_000 - first[0])
    card_of = Metadata.model_validate({"name": "x", **card})
    return TilePlan.create(Grid((height, width), transform, UTM), card_of)


@given(
    height=st.integers(1, 20_000),
    width=st.integers(1, 20_000),
    first=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    margin_px=st.integers(0, 200),
    tile_px=st.integers(2, 80).map(lambda strides: 32 * strides),
)
def test_tiles_start_on_the_lattice_of_the_ground_and_share_enough(
    height: int, width: int, first: tuple[int, int], margin_px: int, tile_px: int
) -> None:
    plan = through(height, width, first=first, margin_px=margin_px, tile_px=tile_px)
    plane = plan.plane
    assert plane.stride_px % 32 == plane.border_px % 32 == plane.tile % 32 == 0
    assert plane.border_px >= max(margin_px, 64)
    assert plane.ramp_px == 128
    assert all(0 <= start < 32 for start in plan.offset)
    assert (first[0] - plan.offset[0]) % 32 == 0
    covered = [plane.stride_px * count + plane.ramp_px for count in plane.counts]
    assert all(end >= size for end, size in zip(covered, plane.shape, strict=True))


@given(side=st.integers(4_000, 60_000))
@example(4257)  # the worst: the fewest pixels are 1.375 times the scene's
def test_of_the_largest_tiles_that_are_allowed_as_few_are_made_as_can_be(side: int) -> None:
    plane = through(side, side).plane
    count = -(-(side - 128) // (2304 - 256))  # along a side: ramps share 128 px, whole tiles 256
    stride = 32 * -(-(side - 128) // (32 * count))
    assert len(plane) * plane.tile**2 <= (count * (stride + 256)) ** 2 < 1.376 * side**2
    assert plane.tile <= 2304


def test_a_small_scene_is_one_tile_and_a_card_may_ask_for_larger_ones() -> None:
    assert len(through(1500, 1200).plane) == 1
    assert len(through(2400, 2400).plane) == 4
    assert len(through(2400, 2400, tile_px=2560).plane) == 1
