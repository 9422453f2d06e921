"""Augmentation moves image and mask alike, and is a function of its seed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from terralink.data.augment import Augment  # noqa: E402
from terralink.data.chips import Chip  # noqa: E402

pytestmark = pytest.mark.torch

MOVING = Augment(crop_px=48, scale=(0.5, 2.0), rotate_deg=(-45, 45))
COLOURING = Augment(
    crop_px=64,
    dihedral=False,
    gain=(0.5, 1.5),
    cast=(0.9, 1.1),
    contrast=(0.5, 1.5),
    gamma=(0.5, 2.0),
    saturation=(0.5, 1.5),
    blur_px=(0.5, 1.0),
    noise=5,
)


def blob() -> Chip:
    """A chip whose image shows its mask."""
    rows, cols = np.mgrid[:80, :64]
    mask = ((rows - 30) ** 2 + 2 * (cols - 20) ** 2 < 300).astype(np.uint8)
    return Chip(np.repeat(mask[None] * np.uint8(200), 3, axis=0), mask, "blob")


@pytest.mark.parametrize("seed", range(20))
def test_image_and_mask_move_alike(seed: int) -> None:
    image, mask = MOVING.warped(blob(), np.random.default_rng(seed))
    shown = image[0] > 100
    # Bilinear and nearest may differ by the outline, not by an offset.
    assert (shown != (mask == 1)).float().mean() < 0.05


def test_a_seed_gives_the_same_sample_for_ever() -> None:
    first, again = (COLOURING(blob(), np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_colours_leave_the_levels_in_range_and_the_mask_alone() -> None:
    still = Augment(crop_px=64, dihedral=False)
    for seed in range(10):
        image, mask = COLOURING(blob(), np.random.default_rng(seed))
        assert 0 <= image.min() <= image.max() <= 255
        assert torch.equal(mask, still(blob(), np.random.default_rng(seed))[1])


def test_without_any_move_the_crop_is_the_chip() -> None:
    chip = Chip(blob().image[:, :64], blob().mask[:64], "square")
    image, mask = Augment(crop_px=64, dihedral=False)(chip, np.random.default_rng(0))
    assert np.abs(image.numpy() - chip.image).max() < 0.1
    assert (mask.numpy() == chip.mask).all()
