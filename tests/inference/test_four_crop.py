"""Four corners cover an image, agree where they overlap, and go back to its size."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from terralink import inference
from terralink.errors import InputError

Levels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def patches(side_px: int) -> Levels:
    """Grey and coloured squares of 16 px."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (3, side_px // 16, side_px // 16)).astype(np.uint8)
    image[:, ::2, ::3] = 128
    return image.repeat(16, 1).repeat(16, 2)


def test_without_shrinking_corners_are_the_image_seen_whole(grey: Path) -> None:
    model, image = inference.load(grey), patches(160)
    found = inference.corners(model, image, trained_px=96, patch_px=96)
    np.testing.assert_allclose(found, next(model.stream([image])), atol=0.5 / 255 + 1e-6)


def test_what_corners_share_is_their_mean(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = inference.load(grey)
    seen = (np.full((1, 64, 64), level, np.uint8) for level in (0, 51, 102, 255))
    monkeypatch.setattr(model, "levels", lambda _images: seen)
    found = inference.corners(model, patches(96), trained_px=64, patch_px=64)[0]
    alone = (found[0, 0], found[0, -1], found[-1, 0], found[-1, -1])
    assert alone == pytest.approx((0, 0.2, 0.4, 1))
    assert (found[0, 48], found[48, 0], found[48, 48]) == pytest.approx((0.1, 0.2, 0.4))


def test_an_image_of_608_px_is_seen_as_583_px(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = inference.load(grey), []

    def levels(images: Iterable[Levels]) -> Iterator[Levels]:
        for image in images:
            seen.append(image)
            yield image[:1]

    monkeypatch.setattr(model, "levels", levels)
    ramp = np.linspace(0, 255, 608).astype(np.uint8)[None, None].repeat(3, 0).repeat(608, 1)
    inference.corners(model, ramp)
    left, right = seen[0], seen[1]
    assert left.shape == right.shape == (3, 384, 384)
    # 2 x 384 - 583 = 185 columns are in both
    np.testing.assert_array_equal(left[:, :, -185:], right[:, :, :185])


def test_views_of_a_model_that_sees_pixels_change_nothing(grey: Path) -> None:
    model, image = inference.load(grey), patches(160)
    once, often = (
        inference.corners(model, image, trained_px=96, patch_px=96, tta=tta)
        for tta in (False, True)
    )
    np.testing.assert_array_equal(once, often)


def test_an_image_that_is_not_square_keeps_its_sides(grey: Path) -> None:
    image = patches(608)[:, :, :432]
    assert inference.corners(inference.load(grey), image).shape == (1, 608, 432)


def test_an_image_of_the_test_set_comes_back_in_its_size_and_place(grey: Path) -> None:
    model, image = inference.load(grey), patches(608)
    found = inference.corners(model, image)
    assert found.shape == (1, 608, 608)
    whole = next(model.stream([image]))
    inner = np.s_[:, 8::16, 8::16]  # the squares' middles, away from the edges that resizing blurs
    np.testing.assert_allclose(found[inner], whole[inner], atol=0.02)


@pytest.mark.parametrize("side_px", [320, 816])
def test_an_image_that_four_corners_do_not_cover_is_refused(grey: Path, side_px: int) -> None:
    with pytest.raises(InputError, match="400 to 800 px"):
        inference.corners(inference.load(grey), patches(side_px))
