from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from terralink.raster.tiling import TileGrid, reflect_index


@st.composite
def tile_grids(draw: st.DrawFn) -> TileGrid:
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    tile = draw(st.integers(1, 24))
    overlap_px = draw(st.integers(0, tile - 1))
    return TileGrid(shape, tile, overlap_px, margin_px=draw(st.integers(0, overlap_px // 2)))


def blended(tiles: TileGrid, pieces: Any) -> NDArray[Any]:
    """The plane of all blocks, each pixel laid once."""
    blocks = list(tiles.blend(pieces))
    plane = np.zeros((len(blocks[0].array), *tiles.shape), blocks[0].array.dtype)
    times = np.zeros(tiles.shape, int)
    for row, col, array in blocks:
        place = np.s_[row : row + array.shape[1], col : col + array.shape[2]]
        plane[:, *place] = array
        times[place] += 1
    assert (times == 1).all()
    return plane


def noise(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    rng = np.random.default_rng(7)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@given(tile_grids(), st.sampled_from([np.uint8, np.uint16, np.int16]))
def test_integers_that_were_cut_come_back_bit_by_bit(tiles: TileGrid, dtype: DTypeLike) -> None:
    image = noise((2, *tiles.shape), dtype)
    back = blended(tiles, tiles.cut(image))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, image)


@given(tile_grids())
def test_floats_that_were_cut_come_back_to_rounding(tiles: TileGrid) -> None:
    image = noise((1, *tiles.shape), np.float32)
    np.testing.assert_allclose(blended(tiles, tiles.cut(image)), image, rtol=3e-7, atol=1e-12)


@given(tile_grids())
def test_weights_add_up_to_exactly_one_everywhere(tiles: TileGrid) -> None:
    total = np.zeros(tiles.shape)
    for tile in tiles:
        down, across = tiles.weights(tile)
        row, col = tile.row + tiles.border_px, tile.col + tiles.border_px
        core = np.outer(down, across)[: tiles.shape[0] - row, : tiles.shape[1] - col]
        total[row : row + len(core), col : col + core.shape[1]] += core
    assert (total == 1).all()


@given(tile_grids())
def test_all_tiles_have_one_size_and_none_lies_outside(tiles: TileGrid) -> None:
    listed = list(tiles)
    assert len(listed) == len(tiles)
    assert {piece.shape for piece in tiles.cut(noise((1, *tiles.shape), np.uint8))} == {
        (1, tiles.tile, tiles.tile)
    }
    assert all(
        tile.row + tiles.border_px < tiles.shape[0] and tile.col + tiles.border_px < tiles.shape[1]
        for tile in listed
    )


@given(tile_grids())
def test_what_a_network_makes_of_its_padding_never_shows(tiles: TileGrid) -> None:
    image = noise((1, *tiles.shape), np.uint8)

    def spoilt(piece: NDArray[Any]) -> NDArray[Any]:
        margin = tiles.margin_px
        inner = piece[:, margin : tiles.tile - margin, margin : tiles.tile - margin]
        return np.pad(inner, ((0, 0), (margin, margin), (margin, margin)), constant_values=99)

    back = blended(tiles, (spoilt(piece) for piece in tiles.cut(image)))
    np.testing.assert_array_equal(back, image)


def test_only_the_overlap_is_ramped() -> None:
    tiles = TileGrid((10, 18), tile=10, overlap_px=4, margin_px=1)
    _, across = tiles.weights(list(tiles)[1])
    np.testing.assert_allclose(across[:2], [1 / 3, 2 / 3], atol=1 / 256)
    assert across[2:6].tolist() == [1, 1, 1, 1]


def test_a_plane_that_one_tile_covers_needs_one_tile() -> None:
    assert len(TileGrid((512, 512), tile=512, overlap_px=128)) == 1
    assert len(TileGrid((3, 5), tile=512, overlap_px=128, margin_px=32)) == 1


def test_a_block_is_there_as_soon_as_its_piece_is() -> None:
    tiles = TileGrid((64, 30), tile=8, overlap_px=2)
    given_pieces = 0

    def pieces() -> Any:
        nonlocal given_pieces
        for piece in tiles.cut(noise((1, *tiles.shape), np.uint8)):
            given_pieces += 1
            yield piece

    for count, block in enumerate(tiles.blend(pieces()), start=1):
        assert given_pieces == count
        assert block[:2] == (6 * ((count - 1) // 5), 6 * ((count - 1) % 5))
    assert given_pieces == len(tiles)


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(1, 20))
def test_the_mirrored_axis_is_numpys_symmetric_padding(start: int, length: int, size: int) -> None:
    padded = np.pad(np.arange(size), (50, 120), mode="symmetric")
    expected = padded[start + 50 : start + 50 + length]
    assert reflect_index(start, start + length, size).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("shape", "tile", "overlap_px", "margin_px"),
    [((0, 4), 4, 0, 0), ((4, 4), 4, 4, 0), ((4, 4), 4, 2, 2), ((4, 4), 4, -1, 0)],
)
def test_sizes_that_cannot_be_are_refused(
    shape: tuple[int, int], tile: int, overlap_px: int, margin_px: int
) -> None:
    with pytest.raises(ValueError, match="expected"):
        TileGrid(shape, tile, overlap_px, margin_px)
