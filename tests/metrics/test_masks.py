"""Scores of masks in patches, within a buffer and along boundaries, against loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from terralink.errors import InputError
from terralink.metrics import Confusion, count_patches, mask_boundary_iou, match_pixels

Mask = NDArray[np.bool_]

shape = st.shared(st.tuples(st.integers(1, 9), st.integers(1, 9)), key="shape")
masks = arrays(bool, shape)
shares = arrays(np.float64, shape, elements=st.sampled_from([0, 0.2, 0.5, 1]))
some = settings(deadline=None, max_examples=60)


@some
@given(shares, shares, masks, st.integers(1, 4))
def test_patches_are_those_of_a_loop(
    truth: NDArray[np.float64], pred: NDArray[np.float64], valid: Mask, patch_px: int
) -> None:
    counts = np.zeros((2, 2), int)
    for row in range(0, truth.shape[0], patch_px):
        for col in range(0, truth.shape[1], patch_px):
            part = slice(row, row + patch_px), slice(col, col + patch_px)
            if valid[part].any():
                # summed as pixels in order; at a threshold exactly met no order is right
                t, p = (float(np.mean(side[part][valid[part]])) for side in (truth, pred))
                if min(abs(t - 0.26), abs(p - 0.26)) < 1e-9:
                    return
                counts[int(t > 0.26), int(p > 0.26)] += 1
    result = count_patches(truth, pred, patch_px=patch_px, threshold=0.26, valid=valid)
    assert result.counts.tolist() == counts.tolist()


def test_a_quarter_of_a_patch_is_not_yet_road_and_a_pixel_more_is() -> None:
    truth, pred = np.zeros((16, 32)), np.zeros((16, 32))
    truth[:4, :16] = pred[:4] = 1
    pred[4, 0] = 1
    assert count_patches(truth, pred).counts.tolist() == [[1, 1], [0, 0]]


def test_patches_of_images_add_to_f1_and_accuracy() -> None:
    road, none = np.ones((16, 16)), np.zeros((16, 16))
    total = sum(
        (count_patches(t, p) for t, p in [(road, road), (road, none), (none, none)]),
        start=Confusion.zero(),
    )
    assert (total.f1()[1], total.accuracy()) == pytest.approx((2 / 3, 2 / 3))


def test_grey_levels_are_to_be_divided_by_255() -> None:
    with pytest.raises(InputError, match="divide by 255"):
        count_patches(np.full((4, 4), 255), np.zeros((4, 4)))


def test_a_pixel_of_nan_that_is_not_valid_is_not_counted() -> None:
    truth = np.array([[1.0, math.nan]])
    assert count_patches(truth, truth, valid=~np.isnan(truth)).counts.tolist() == [[0, 0], [0, 1]]


@some
@given(masks, masks, masks, st.sampled_from([0, 1, 2.5]), st.sampled_from([0.5, 1, 2]))
def test_relaxed_counts_are_those_of_a_loop(
    truth: Mask, pred: Mask, valid: Mask, buffer_m: float, height_m: float
) -> None:
    def near(mask: Mask, other: Mask) -> int:
        return sum(
            any(
                math.hypot((row - r) * height_m, col - c) <= buffer_m
                for r, c in np.argwhere(other & valid)
            )
            for row, col in np.argwhere(mask & valid)
        )

    result = match_pixels(truth, pred, buffer_m=buffer_m, pixel_size_m=(1, height_m), valid=valid)
    assert (result.truth, result.pred) == ((truth & valid).sum(), (pred & valid).sum())
    assert (result.matched_truth, result.matched_pred) == (near(truth, pred), near(pred, truth))


@some
@given(masks, masks, masks, st.integers(1, 3))
def test_boundaries_are_what_erosion_takes_away(
    truth: Mask, pred: Mask, valid: Mask, within_px: int
) -> None:
    t, p = (
        side & valid & ~binary_erosion(side & valid, np.ones((3, 3)), within_px)
        for side in (truth, pred)
    )
    result = mask_boundary_iou(truth, pred, within_px=within_px, valid=valid)
    assert (result.intersection, result.union) == ((t & p).sum(), (t | p).sum())


def test_a_boundary_is_two_percent_of_the_diagonal_wide() -> None:
    full = np.ones((300, 400), bool)
    assert mask_boundary_iou(full, full).union == 300 * 400 - 280 * 380


def test_a_mask_against_itself_is_one_in_every_way() -> None:
    mask = np.zeros((40, 40), bool)
    mask[10:30, 5:12] = True
    assert match_pixels(mask, mask, buffer_m=0).f1 == 1
    assert mask_boundary_iou(mask, mask).iou == 1
    assert count_patches(mask, mask).f1()[1] == 1


def test_empty_masks_have_no_score() -> None:
    none = np.zeros((4, 4), bool)
    assert math.isnan(match_pixels(none, none, buffer_m=2).f1)
    assert math.isnan(mask_boundary_iou(none, none).iou)
    assert match_pixels(none, ~none, buffer_m=2).precision == 0


@pytest.mark.parametrize("score", [count_patches, mask_boundary_iou, match_pixels])
def test_masks_of_different_shapes_are_refused(score: object) -> None:
    options = {"buffer_m": 1} if score is match_pixels else {}
    with pytest.raises(InputError, match="one shape"):
        score(np.zeros((2, 2)), np.zeros((2, 3)), **options)  # type: ignore[operator]
