"""Augmentation moves image and mask alike, and is a function of its seed."""

from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

torch = pytest.importorskip("torch")
from terralink.data.augment import Augment  # noqa: E402
from terralink.data.chips import IGNORE, Chip  # noqa: E402
from terralink.errors import InputError  # noqa: E402

pytestmark = pytest.mark.torch

MOVES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "dihedral": {"dihedral": True},
    "turns": {"turns_deg": (0, 45, 90, 135)},
    "flips": {"flips": ("none", "horizontal", "vertical")},
    "scale": {"scale": (0.6, 2.0)},
    "aspect": {"aspect": (0.7, 1.4)},
    "rotate": {"rotate_deg": (-45, 45)},
    "shift": {"shift_px": (-16, 16)},
    "chance": {"warp_p": 0.5, "scale": (0.5, 0.9), "shift_px": (-9, 9)},
    "whole": {"fit": "whole"},
}
MOVES["all"] = {key: value for move in MOVES.values() for key, value in move.items()}
COLOURS: dict[str, Any] = {
    "gain": (0.5, 1.5),
    "channel_gain": (0.9, 1.1),
    "contrast": (0.5, 1.5),
    "gamma": (0.5, 2.0),
    "blur_px": (0.5, 1.0),
    "noise": 5,
}
HSV: dict[str, Any] = {
    "saturation": (0.5, 1.5),
    "hue_deg": (-60, 60),
    "saturation_shift": (-5, 5),
    "value_shift": (-15, 15),
}
DLINKNET: dict[str, Any] = {
    "warp_p": 0.5,
    "scale": (0.9, 1.1),
    "aspect": (0.9, 1.1),
    "shift_px": (-6, 6),
    "hsv_p": 0.5,
    "hue_deg": (-60, 60),
    "saturation_shift": (-5, 5),
    "value_shift": (-15, 15),
}
LINKNETB7: dict[str, Any] = {
    "fit": "whole",
    "dihedral": False,
    "turns_deg": (0, 45, 90, 135),
    "flips": ("none", "horizontal", "vertical"),
}
LEVELS = {0: 20, 1: 90, 2: 160, IGNORE: 230}  # what a class looks like


def drawn(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(bands: int = 3, *, rows: int = 48, cols: int = 48) -> Chip:
    image = drawn(bands).integers(0, 256, (bands, rows, cols), dtype=np.uint8)
    return Chip(image, image[0] // 100, "noise")


@cache
def regions() -> Chip:
    """Three classes and IGNORE in smooth regions, shown by the image."""
    heights = ndimage.gaussian_filter(drawn(5).normal(size=(90, 70)), 9, mode="wrap")
    ranks = np.digitize(heights, np.quantile(heights, [0.25, 0.5, 0.75]))
    mask = np.array(list(LEVELS), np.uint8)[ranks]
    image = np.array(list(LEVELS.values()), np.uint8)[ranks]
    return Chip(np.repeat(image[None], 3, axis=0), mask, "regions")


@pytest.mark.parametrize("move", MOVES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_image_and_mask_move_alike(move: str, seed: int) -> None:
    augment = Augment(**{"crop_px": 56, "dihedral": False} | MOVES[move])
    image, mask = (warp_chip.numpy() for warp_chip in augment.warp(regions(), drawn(seed)))
    shown = np.array([LEVELS[int(label)] for label in mask.ravel()]).reshape(mask.shape)
    # Apart from the outlines, where the image blends, what is seen is the class.
    inside = ndimage.maximum_filter(mask, 5) == ndimage.minimum_filter(mask, 5)
    inside &= np.pad(np.ones((52, 52), bool), 2)  # an outline may lie just beyond the sample
    assert inside.mean() > 0.05
    assert np.abs(image[0] - shown)[inside].max() < 1


@pytest.mark.parametrize("move", MOVES)
def test_no_class_is_invented_and_ignored_pixels_stay_so(move: str) -> None:
    augment = Augment(**{"crop_px": 56, "dihedral": False} | MOVES[move])
    for seed in range(5):
        labels = set(np.unique(augment.warp(regions(), drawn(seed))[1]).tolist())
        assert IGNORE in labels
        assert labels <= set(LEVELS)


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_a_seed_gives_the_same_sample_for_ever(fit: str) -> None:
    augment = Augment(**{"crop_px": 40} | COLOURS | HSV | MOVES["all"] | {"fit": fit})
    first, again = (augment(regions(), drawn(7)) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], augment(regions(), drawn(8))[0])


@pytest.mark.parametrize(
    ("scale", "means", "road_px", "levels"),
    [
        ((0.75, 1.33), (63.945, 61.020, 50.860), 2077, (132.95, 1.45, 121.20)),
        ((0.5, 2.0), (60.181, 61.954, 42.761), 1934, (134.94, 0.42, 99.19)),
    ],
)
def test_the_shipped_models_see_the_samples_that_they_were_trained_on(
    scale: tuple[float, float],
    means: tuple[float, ...],
    road_px: int,
    levels: tuple[float, ...],
) -> None:
    """Figures of the first augmentation, of one class and nothing cut out, seed 0."""
    rows, cols = np.mgrid[:320, :320]
    waves = [np.sin(rows / down + cols / right) for down, right in ((9, 14), (21, 8), (13, -17))]
    image = 128 + 100 * np.stack(waves)
    chip = Chip(image.astype(np.uint8), (image[0] > 150).astype(np.uint8), "waves")
    augment = Augment(
        crop_px=64,
        scale=scale,
        rotate_deg=(-45, 45),
        gain=(0.6, 1.4),
        channel_gain=(0.9, 1.1),
        contrast=(0.7, 1.4),
        gamma=(0.5, 1.9),
        saturation=(0.4, 1.4),
        blur_px=(0.0, 0.8),
        noise=6,
    )
    seen, mask = augment(chip, drawn(0))
    np.testing.assert_allclose(seen.mean((1, 2)), means, atol=0.02)
    np.testing.assert_allclose(seen[0, 10, [5, 30, 55]], levels, atol=0.2)
    assert abs(int(mask.sum()) - road_px) <= 2


def test_colours_leave_the_levels_in_range_and_the_mask_alone() -> None:
    still = Augment(crop_px=64, dihedral=False)
    coloured = Augment(**{"crop_px": 64, "dihedral": False} | COLOURS | HSV)
    for seed in range(10):
        image, mask = coloured(regions(), drawn(seed))
        assert 0 <= image.min() <= image.max() <= 255
        assert torch.equal(mask, still(regions(), drawn(seed))[1])


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_without_any_move_the_sample_is_the_chip(fit: Literal["crop", "whole"]) -> None:
    image, mask = Augment(crop_px=48, fit=fit, dihedral=False)(noise(), drawn(0))
    np.testing.assert_array_equal(image, noise().image)
    np.testing.assert_array_equal(mask, noise().mask)


def test_a_crop_is_copied_from_anywhere_in_the_chip() -> None:
    rows, cols = np.indices((40, 60), dtype=np.uint8)
    footprints = Chip(np.stack([rows, cols]), rows, "places")
    crop = Augment(crop_px=24, dihedral=False)
    corners = set()
    for seed in range(300):
        image, mask = crop(footprints, drawn(seed))
        top, left = image[:, 0, 0].int().tolist()
        wanted = footprints.image[:, top : top + 24, left : left + 24]
        np.testing.assert_array_equal(image, wanted)
        np.testing.assert_array_equal(mask, wanted[0])
        corners.add((top, left))
    tops, lefts = zip(*corners, strict=True)
    assert (min(tops), max(tops)) == (0, 16)
    assert (min(lefts), max(lefts)) == (0, 36)


def test_beyond_the_border_the_chip_is_mirrored() -> None:
    image, mask = Augment(crop_px=80, dihedral=False)(noise(), drawn(0))
    np.testing.assert_array_equal(
        image, np.pad(noise().image, ((0, 0), (16, 16), (16, 16)), "symmetric")
    )
    np.testing.assert_array_equal(mask, np.pad(noise().mask, 16, "symmetric"))


def views(image: np.ndarray) -> dict[bytes, int]:
    """The eight views as D-LinkNet draws them: two flips and a quarter turn, each or not."""
    eight = [
        np.rot90(image[:, :: 1 - 2 * down, :: 1 - 2 * across], turn, axes=(1, 2))
        for down, across, turn in product((0, 1), repeat=3)
    ]
    return {np.ascontiguousarray(view).tobytes(): 0 for view in eight}


def test_the_dihedral_group_is_exact_even_and_that_of_dlinknet() -> None:
    eight = views(noise().image)
    assert len(eight) == 8
    for seed in range(800):
        image, _mask = Augment(crop_px=48)(noise(), drawn(seed))
        eight[image.to(torch.uint8).numpy().tobytes()] += 1  # a KeyError is a ninth view
    assert min(eight.values()) > 60


def test_quarter_turns_without_flips_are_those_of_the_paddy_paper() -> None:
    quarters = Augment(crop_px=48, dihedral=False, turns_deg=(0, 90, 180, 270))
    rotation_matrix = {np.rot90(noise().image, turn, axes=(1, 2)).tobytes(): 0 for turn in range(4)}
    for seed in range(100):
        image, _mask = quarters(noise(), drawn(seed))
        rotation_matrix[image.to(torch.uint8).numpy().tobytes()] += 1
    assert min(rotation_matrix.values()) > 10


@pytest.mark.parametrize("turn", [0, 90])
@pytest.mark.parametrize("flip", ["none", "horizontal", "vertical"])
def test_linknetb7_turns_counter_clockwise_and_then_flips(turn: int, flip: str) -> None:
    augment = Augment(**LINKNETB7 | {"crop_px": 48, "turns_deg": [turn], "flips": [flip]})
    wanted = np.rot90(noise().mask, turn // 90)
    wanted = {"none": wanted, "horizontal": wanted[:, ::-1], "vertical": wanted[::-1]}[flip]
    np.testing.assert_array_equal(augment(noise(), drawn(0))[1], wanted)


def test_linknetb7_makes_twelve_versions_of_a_chip() -> None:
    augment = Augment(**LINKNETB7 | {"crop_px": 48})
    versions = {augment(noise(), drawn(seed))[1].numpy().tobytes() for seed in range(200)}
    assert len(versions) == 12


def test_a_turn_by_45_degrees_brings_the_right_to_the_upper_right() -> None:
    mask = np.zeros((49, 49), np.uint8)
    mask[23:26, 31:34] = 1
    augment = Augment(crop_px=49, dihedral=False, turns_deg=(45,))
    seen = augment(Chip(mask[None], mask, "right"), drawn(0))[1].numpy()
    away = 8 / np.sqrt(2)
    np.testing.assert_allclose(ndimage.center_of_mass(seen), (24 - away, 24 + away), atol=0.3)


def test_a_whole_chip_is_resized_to_the_sample() -> None:
    chip = noise(2, rows=50, cols=60)
    image, _mask = Augment(crop_px=40, fit="whole", dihedral=False)(chip, drawn(0), zoom=3)
    pixels = torch.from_numpy(chip.image).float()[None]
    wanted = torch.nn.functional.interpolate(pixels, (40, 40), mode="bilinear")[0]
    np.testing.assert_allclose(image, wanted, atol=1e-2)


def test_shifts_reach_as_far_as_they_may_and_mirror_what_they_uncover() -> None:
    footprints = Chip(np.indices((48, 48), dtype=np.uint8), noise().mask, "places")
    padded = np.pad(noise().mask, 16, "symmetric")
    augment = Augment(crop_px=48, dihedral=False, shift_px=(-16, 16))
    shifts = []
    for seed in range(60):
        image, mask = augment(footprints, drawn(seed))
        down, right = (24 - image[:, 24, 24].int()).tolist()
        wanted = padded[16 - down : 64 - down, 16 - right : 64 - right]
        np.testing.assert_array_equal(mask, wanted)
        shifts += [(down, right)]
    np.testing.assert_allclose(np.max(shifts, axis=0), 16, atol=2)
    np.testing.assert_allclose(np.min(shifts, axis=0), -16, atol=2)


def test_a_chance_of_a_half_leaves_half_of_the_samples_alone() -> None:
    augment = Augment(**{"crop_px": 48, "dihedral": False} | DLINKNET)
    still_warp = still_hue = 0
    for seed in range(100):
        image, mask = augment(noise(), drawn(seed))
        still_warp += np.array_equal(mask, noise().mask)
        still_hue += np.array_equal(augment.change_colours(image, drawn(seed)), image)
    assert 30 < still_warp < 70
    assert 30 < still_hue < 70


@pytest.mark.parametrize("bands", [1, 2, 4, 16])
def test_any_number_of_bands_is_moved_and_coloured(bands: int) -> None:
    augment = Augment(**{"crop_px": 32} | MOVES["all"] | COLOURS | {"crop_px": 32})
    image, mask = augment(noise(bands), drawn(0))
    assert image.shape == (bands, 32, 32)
    assert mask.shape == (32, 32)


def test_hue_and_saturation_change_the_first_three_bands_alone() -> None:
    augment = Augment(**{"crop_px": 48, "dihedral": False} | HSV)
    image, _mask = augment(noise(5), drawn(0))
    np.testing.assert_allclose(image[3:], noise(5).image[3:], atol=1e-3)
    assert not np.allclose(image[:3], noise(5).image[:3], atol=1)


@pytest.mark.parametrize("key", HSV)
def test_hue_and_saturation_of_fewer_bands_are_refused_in_one_line(key: str) -> None:
    augment = Augment(**{"crop_px": 48, key: HSV[key]})
    with pytest.raises(InputError, match=r"noise: hue.*there are 2 bands") as caught:
        augment(noise(2), drawn(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"crop_px": 0}, "greater than 0"),
        ({"scales": (1, 2)}, "did you mean 'scale'"),
        ({"scale": (2.0, 1.0)}, "from the least to the most"),
        ({"scale": (0.0, 1.0)}, "above 0"),
        ({"gain": (-1.0, 1.0)}, "above 0"),
        ({"shift_px": (3, -3)}, "from the least to the most"),
        ({"rotate_deg": (0, float("inf"))}, "finite"),
        ({"hsv_p": 1.5}, "less than or equal to 1"),
        ({"turns_deg": ()}, "at least 1"),
        ({"flips": ("diagonal",)}, "'none', 'horizontal' or 'vertical'"),
        ({"fit": "squeeze"}, "'crop' or 'whole'"),
        ({"blur_px": (-1.0, 1.0)}, "0 or more"),
        ({"blur_px": (0.0, 40.0)}, "too wide for 48 px"),
        ({"noise": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Augment(**{"crop_px": 48} | wrong)
