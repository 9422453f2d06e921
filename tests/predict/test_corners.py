"""Four corners cover an image, agree where they overlap, and go back to its size."""

from pathlib import Path

import numpy as np
import pytest

from terralink import predict
from terralink.errors import InputError


def patches(side_px: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Grey and coloured squares of 16 px."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (3, side_px // 16, side_px // 16)).astype(np.uint8)
    image[:, ::2, ::3] = 128
    return image.repeat(16, 1).repeat(16, 2)


def test_without_shrinking_corners_are_the_image_seen_whole(grey: Path) -> None:
    model, image = predict.load(grey), patches(160)
    found = predict.corners(model, image, trained_px=96, patch_px=96)
    np.testing.assert_allclose(found, next(model.stream([image])), atol=1e-6)


def test_what_corners_share_is_their_mean(grey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = predict.load(grey)
    seen = (np.full((1, 64, 64), number, np.float32) for number in (0, 1, 2, 5))
    monkeypatch.setattr(model, "stream", lambda _images: seen)
    found = predict.corners(model, patches(96), trained_px=64, patch_px=64)[0]
    assert (found[0, 0], found[0, -1], found[-1, 0], found[-1, -1]) == (0, 1, 2, 5)
    assert (found[0, 48], found[48, 0], found[48, 48]) == (0.5, 1, 2)


def test_an_image_of_the_test_set_comes_back_in_its_size_and_place(grey: Path) -> None:
    model, image = predict.load(grey), patches(608)
    found = predict.corners(model, image)
    assert found.shape == (1, 608, 608)
    whole = next(model.stream([image]))
    inner = np.s_[:, 8::16, 8::16]  # the squares' middles, away from the edges that resizing blurs
    np.testing.assert_allclose(found[inner], whole[inner], atol=0.02)


@pytest.mark.parametrize("side_px", [320, 816])
def test_an_image_that_four_corners_do_not_cover_is_refused(grey: Path, side_px: int) -> None:
    with pytest.raises(InputError, match="400 to 800 px"):
        predict.corners(predict.load(grey), patches(side_px))
