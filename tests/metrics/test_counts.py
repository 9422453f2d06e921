"""Pixel scores against naive counting; counts of parts add; pairs are taken one to one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import ArrayLike, NDArray

from terralink.errors import InputError
from terralink.metrics import Confusion, DetectionCounts, ImageMean, Overlap
from terralink.metrics.counts import match_one_to_one

CLASSES = 3
images = arrays(np.uint8, st.shared(st.tuples(st.integers(0, 5), st.integers(1, 5)), key="shape"),
                elements=st.integers(0, CLASSES - 1))  # fmt: skip
masks = arrays(bool, st.shared(st.tuples(st.integers(0, 5), st.integers(1, 5)), key="shape"))


Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def naive(truth: Image, pred: Image, valid: Mask, k: int) -> tuple[dict[str, float], int, int]:
    hit = made_up = missed = right = seen = 0
    for row, col in np.ndindex(truth.shape):
        if not valid[row, col]:
            continue
        t, p = truth[row, col], pred[row, col]
        seen += 1
        right += t == p
        hit += t == k and p == k
        made_up += t != k and p == k
        missed += t == k and p != k
    if not hit + made_up + missed:
        return dict.fromkeys(("iou", "f1", "precision", "recall"), math.nan), right, seen
    return {
        "iou": hit / (hit + made_up + missed),
        "f1": 2 * hit / (2 * hit + made_up + missed),
        "precision": hit / (hit + made_up) if hit + made_up else 0.0,
        "recall": hit / (hit + missed) if hit + missed else 0.0,
    }, right, seen  # fmt: skip


@settings(deadline=None)
@given(images, images, masks)
def test_scores_are_those_of_a_loop_over_pixels(truth: Image, pred: Image, valid: Mask) -> None:
    confusion = Confusion.of(truth, pred, num_classes=CLASSES, valid=valid)
    for k in range(CLASSES):
        scores, right, seen = naive(truth, pred, valid, k)
        for name, expected in scores.items():
            np.testing.assert_allclose(getattr(confusion, name)()[k], expected)
        np.testing.assert_allclose(confusion.accuracy(), right / seen if seen else math.nan)


@settings(deadline=None)
@given(images, images, st.integers(0, 5))
def test_parts_add_to_the_whole(truth: Image, pred: Image, cut: int) -> None:
    parts = [Confusion.of(truth[part], pred[part], num_classes=CLASSES)
             for part in (slice(cut), slice(cut, None))]  # fmt: skip
    whole = Confusion.of(truth, pred, num_classes=CLASSES)
    total = sum(parts, start=Confusion.zero(CLASSES))
    assert total.counts.tolist() == whole.counts.tolist()


def test_booleans_are_two_classes() -> None:
    assert Confusion.of([True, False], [True, True]).counts.tolist() == [[0, 1], [0, 1]]


def test_a_class_that_is_nowhere_has_no_score_and_one_that_is_missed_has_zero() -> None:
    confusion = Confusion.of([0, 1], [0, 0], num_classes=3)
    assert confusion.precision().tolist()[:2] == [0.5, 0.0]
    assert np.isnan(confusion.iou()).tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("truth", "pred", "said"),
    [
        ([0, 1], [0], "one shape"),
        ([0, 2], [0, 1], "classes are 0 to 1, not 0 to 2"),
        ([0, -1], [0, 1], "not -1 to 0"),
        ([0.0, 0.7], [0, 1], "apply a threshold first"),
    ],
)
def test_what_cannot_be_counted_is_refused(truth: ArrayLike, pred: ArrayLike, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Confusion.of(truth, pred)


def test_pixels_that_are_not_valid_may_be_of_any_class() -> None:
    assert Confusion.of([0, 255], [0, 1], valid=[True, False]).counts.sum() == 1


@settings(deadline=None)
@given(images, images)
def test_kappa_is_that_of_a_loop(truth: Image, pred: Image) -> None:
    pairs = list(zip(truth.ravel().tolist(), pred.ravel().tolist(), strict=True))
    kappa = Confusion.of(truth, pred, num_classes=CLASSES).kappa()
    chance = sum(
        sum(t == k for t, _ in pairs) * sum(p == k for _, p in pairs) for k in range(CLASSES)
    )
    if not pairs or chance == len(pairs) ** 2:
        assert math.isnan(kappa)
    else:
        by_chance = chance / len(pairs) ** 2
        right = sum(t == p for t, p in pairs) / len(pairs)
        assert kappa == pytest.approx((right - by_chance) / (1 - by_chance))


def test_the_mean_of_images_counts_an_image_without_road_as_one() -> None:
    images = [([1, 1], [1, 0]), ([0, 0], [0, 0]), ([0, 0], [1, 0])]
    parts = [Confusion.of(truth, pred) for truth, pred in images]
    assert sum((part.image_iou() for part in parts), start=ImageMean()).mean == 0.5
    left_out = sum((part.image_iou(empty=math.nan) for part in parts), start=ImageMean())
    assert (left_out.mean, left_out.images) == (0.25, 2)
    assert math.isnan(ImageMean().mean)


@pytest.mark.torch
def test_scores_are_those_of_torchmetrics() -> None:
    pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional")
    import torch

    rng = np.random.default_rng(0)
    truth, pred = rng.integers(0, CLASSES, (2, 40, 50))
    pred = np.where(rng.random(truth.shape) < 0.5, truth, pred)
    confusion = Confusion.of(truth, pred, num_classes=CLASSES)
    both = torch.from_numpy(pred), torch.from_numpy(truth)
    options = {"task": "multiclass", "num_classes": CLASSES}
    each = {**options, "average": "none"}
    for ours, theirs in [
        (confusion.iou(), functional.jaccard_index(*both, **each)),
        (confusion.f1(), functional.f1_score(*both, **each)),
        (confusion.precision(), functional.precision(*both, **each)),
        (confusion.recall(), functional.recall(*both, **each)),
        (confusion.accuracy(), functional.accuracy(*both, **options, average="micro")),
        (confusion.kappa(), functional.cohen_kappa(*both, **options)),
    ]:
        assert np.allclose(np.asarray(ours, float), theirs.numpy(), rtol=1e-5)


things = st.integers(0, 5)


@settings(deadline=None)
@given(st.lists(st.tuples(things, things), max_size=25))
def test_pairs_are_taken_as_by_a_loop_that_takes_the_best_that_is_free(
    pairs: list[tuple[int, int]],
) -> None:
    taken: list[int] = []
    for i, (t, p) in enumerate(pairs):
        if all(t != pairs[j][0] and p != pairs[j][1] for j in taken):
            taken.append(i)
    truth, pred = np.array(pairs, np.int64).reshape(-1, 2).T
    assert match_one_to_one(truth, pred).tolist() == taken


def test_scores_are_ratios_of_the_sums() -> None:
    total = DetectionCounts(10, 5, 4, 4) + DetectionCounts(0, 0, 6, 1)
    assert (total.recall, total.precision, total.f1) == (0.5, 0.5, 0.5)


def test_nothing_against_nothing_has_no_score_and_something_against_nothing_has_zero() -> None:
    assert math.isnan(DetectionCounts().f1)
    assert math.isnan(Overlap().iou)
    assert (DetectionCounts(truth=3).recall, DetectionCounts(truth=3).f1) == (0, 0)
    assert math.isnan(DetectionCounts(truth=3).precision)
    assert (DetectionCounts(pred=3).precision, DetectionCounts(pred=3).f1) == (0, 0)
    assert Overlap(0, 2).iou == 0


def test_overlaps_add_before_they_are_divided() -> None:
    assert (Overlap(1, 2) + Overlap(0, 2)).iou == pytest.approx(0.25)
