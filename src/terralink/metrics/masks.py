"""Scores of masks in patches, within a buffer, and along boundaries."""

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

from terralink._typing import Mask
from terralink.errors import InputError
from terralink.metrics.counts import Confusion, DetectionCounts, Overlap

Value = TypeVar("Value", np.bool_, np.float64)


def count_patches(
    truth: ArrayLike,
    pred: ArrayLike,
    *,
    patch_px: int = 16,
    threshold: float = 0.25,
    valid: ArrayLike | None = None,
) -> Confusion:
    """Count patches instead of pixels, as the EPFL road challenge does.

    RULE 1: an image is divided into squares of ``patch_px`` from its first pixel; patches at the
    right and the lower edge may be smaller.
    RULE 2: a patch has the class 1 if the mean of its pixels is more than ``threshold``.
    RULE 3: pixels that are not ``valid`` are not in the mean; a patch without valid pixels does not
    count.

    ``truth`` and ``pred`` (row, col) are booleans, or shares 0..1 (grey masks divided by 255).
    Raises ``InputError`` for different shapes, and for values outside 0..1.

    >>> truth, pred = np.zeros((32, 32)), np.zeros((32, 32))
    >>> truth[:5, :16] = pred[:4, :16] = 1
    >>> count_patches(truth, pred).counts.tolist()
    [[3, 0], [1, 0]]
    """
    t, p, mask = _check_shapes(_to_shares(truth), _to_shares(pred), valid)
    valid_px = _patch_sums(mask.astype(np.float64), patch_px)
    true_patches, pred_patches = (
        _patch_sums(np.where(mask, share, 0), patch_px) > threshold * valid_px for share in (t, p)
    )
    return Confusion.of(true_patches, pred_patches, valid=valid_px > 0)


def label_patches(mask: ArrayLike, *, patch_px: int = 16, threshold: float = 0.25) -> Mask:
    """Patches (row, col) of a mask, True for class 1, by rules 1 and 2 of ``count_patches``.

    >>> label_patches(np.eye(4), patch_px=2).tolist()
    [[True, False], [False, True]]
    """
    shares = _to_shares(mask)
    valid_px = _patch_sums(np.ones(shares.shape), patch_px)
    return np.asarray(_patch_sums(shares, patch_px) > threshold * valid_px)


def match_pixels(
    truth: ArrayLike,
    pred: ArrayLike,
    *,
    buffer_m: float,
    pixel_size_m: tuple[float, float] = (1.0, 1.0),
    valid: ArrayLike | None = None,
) -> DetectionCounts:
    """Precision and recall of pixels within a buffer (Mnih and Hinton 2010, after Wiedemann 1998).

    A pixel (row, col) of one mask is matched if the centre of a pixel of the other mask is at most
    ``buffer_m`` away. ``pixel_size_m`` is (width, height), as in ``Grid``. Pixels that are not
    ``valid`` are in neither mask. Raises ``InputError`` for different shapes.

    >>> match_pixels([[1, 0, 0, 0]], [[0, 0, 1, 1]], buffer_m=2).precision
    0.5
    """
    t, p, mask = _check_shapes(np.asarray(truth, bool), np.asarray(pred, bool), valid)
    t, p = t & mask, p & mask
    return DetectionCounts(
        truth=int(t.sum()),
        matched_truth=int((t & _dilate_m(p, buffer_m, pixel_size_m)).sum()),
        pred=int(p.sum()),
        matched_pred=int((p & _dilate_m(t, buffer_m, pixel_size_m)).sum()),
    )


def mask_boundary_iou(
    truth: ArrayLike,
    pred: ArrayLike,
    *,
    within_px: int | None = None,
    valid: ArrayLike | None = None,
) -> Overlap:
    """Boundary IoU of masks (row, col) (Cheng et al. 2021): only pixels near their edges count.

    The boundary of a mask are its pixels at most ``within_px`` steps, straight or diagonal, from a
    pixel that is not in the mask or not in the image. None is 2% of the diagonal of the image, as
    in the paper. Pixels that are not ``valid`` are in neither mask. Raises ``InputError`` for
    different shapes.

    >>> block = np.zeros((9, 9), bool)
    >>> block[1:8, 1:8] = True
    >>> mask_boundary_iou(block, np.roll(block, 1, axis=0), within_px=1)
    Overlap(intersection=12.0, union=36.0)
    """
    t, p, mask = _check_shapes(np.asarray(truth, bool), np.asarray(pred, bool), valid)
    if within_px is None:
        within_px = max(1, round(0.02 * float(np.hypot(*t.shape))))
    t, p = (_find_boundary(side & mask, within_px) for side in (t, p))
    return Overlap(float((t & p).sum()), float((t | p).sum()))


def _check_shapes(
    truth: NDArray[Value], pred: NDArray[Value], valid: ArrayLike | None
) -> tuple[NDArray[Value], NDArray[Value], Mask]:
    mask = np.ones(truth.shape, bool) if valid is None else np.asarray(valid, bool)
    if not truth.shape == pred.shape == mask.shape or truth.ndim != 2:
        shapes = f"{truth.shape}, {pred.shape} and {mask.shape}"
        raise InputError(
            f"truth, prediction and valid must be (row, col) of one shape, not {shapes}"
        )
    return truth, pred, mask


def _to_shares(values: ArrayLike) -> NDArray[np.float64]:
    shares = np.asarray(values, np.float64)
    known = shares[~np.isnan(shares)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise InputError(
            f"patches are of booleans or shares 0..1, not {known.min():g} to {known.max():g}: "
            "divide by 255"
        )
    return shares


def _patch_sums(values: NDArray[np.float64], patch_px: int) -> NDArray[np.float64]:
    rows, cols = (np.arange(0, side, patch_px) for side in values.shape)
    if not values.size:
        return np.zeros((len(rows), len(cols)))
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), cols, axis=1))


def _dilate_m(mask: Mask, buffer_m: float, pixel_size_m: tuple[float, float]) -> Mask:
    if not mask.any():  # no distance to measure
        return np.zeros(mask.shape, bool)
    width_m, height_m = pixel_size_m
    distance = distance_transform_edt(~mask, sampling=(height_m, width_m))
    return np.asarray(distance <= buffer_m)


def _find_boundary(mask: Mask, within_px: int) -> Mask:
    steps = distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    return np.asarray(mask & (steps <= within_px))
