"""Every loss of the registry against loops over pixels, and what all losses must keep."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from terralink import losses  # noqa: E402
from terralink.data.chips import IGNORE  # noqa: E402

pytestmark = pytest.mark.torch

Array = NDArray[Any]
TERMS: tuple[dict[str, Any], ...] = (
    {"name": "bce"},
    {"name": "cross_entropy"},
    {"name": "cross_entropy", "class_weights": [1.0, 5.0, 0.5, 2.0]},
    {"name": "focal", "alpha": None, "gamma": 2.0},
    {"name": "modified_bce", "alpha": 0.6, "gamma": 1},
    {"name": "dice", "over": "image", "smooth": 0.0},
    {"name": "dice", "background": False},
    {"name": "squared_dice"},
    {"name": "squared_dice", "over": "batch", "smooth": 0.1},
    {"name": "jaccard", "over": "image"},
    {"name": "bce_dice"},
    {"name": "bce_iou", "beta": 0.3, "gamma": 2},
    {"name": "cldice", "iterations": 3},
    {"name": "cldice", "iterations": 1, "smooth": 0.2, "background": True},
)
every_term = pytest.mark.parametrize("term", TERMS, ids=str)
every_count = pytest.mark.parametrize("classes", [1, 4])


def drawn(classes: int) -> tuple[Tensor, Tensor]:
    """Logits in fp64 and labels of three images, of which the last is masked as a whole."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(2 * rng.normal(size=(3, classes, 6, 5)), requires_grad=True)
    target = rng.choice([*range(max(classes, 2)), IGNORE], size=(3, 6, 5))
    target[2] = IGNORE
    return logits, torch.tensor(target)


def built(term: dict[str, Any], classes: int) -> losses.Loss:
    if "class_weights" in term:
        term = term | {"class_weights": term["class_weights"][: max(classes, 2)]}
    return losses.build([term])


# The same in loops. Probabilities are always of two classes or more: K = 1 has those of 0 and 1.


def probabilities(logits: Tensor) -> Array:
    x = logits.detach().numpy()
    if x.shape[1] == 1:
        x = np.concatenate([np.zeros_like(x), x], axis=1)
    powers = np.exp(x)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def true_ones(prob: Array, target: Array) -> Iterator[tuple[float, int]]:
    """Probability of the true class, and the class, of each counted pixel."""
    for n, row, col in np.ndindex(*target.shape):
        label = int(target[n, row, col])
        if label != IGNORE:
            yield float(prob[n, label, row, col]), label


def naive_cross_entropy(
    prob: Array, target: Array, class_weights: list[float] | None = None
) -> float:
    total = weight = 0.0
    for p, label in true_ones(prob, target):
        w = class_weights[label] if class_weights else 1.0
        total, weight = total - w * np.log(p), weight + w
    return total / weight


def naive_focal(
    prob: Array, target: Array, alpha: float | None = 0.25, gamma: float = 0.5
) -> float:
    terms = []
    for p, label in true_ones(prob, target):
        share = 1.0 if alpha is None else alpha if label > 0 else 1 - alpha
        terms.append(-share * (1 - p) ** gamma * np.log(p))
    return float(np.mean(terms))


def naive_modified_bce(prob: Array, target: Array, alpha: float = 0.25, gamma: int = 3) -> float:
    entropy = naive_cross_entropy(prob, target)
    return float(alpha * (1 - np.exp(-entropy)) ** gamma * entropy)


def naive_ratio(
    common: Callable[[float, float], float],
    whole: Callable[[float, float], float],
    over: str,
    smooth: float = 1.0,
) -> Callable[..., float]:
    def loss(prob: Array, target: Array, **given: Any) -> float:
        s, groups = given.get("smooth", smooth), []
        for images in [[0, 1, 2]] if given.get("over", over) == "batch" else [[0], [1]]:
            ratios = []
            for k in naive_classes(prob, given):
                top = bottom = s
                for n, row, col in np.ndindex(*target.shape):
                    if n in images and target[n, row, col] != IGNORE:
                        p, y = prob[n, k, row, col], float(target[n, row, col] == k)
                        top, bottom = top + common(p, y), bottom + whole(p, y)
                ratios.append(1 - top / bottom)
            groups.append(np.mean(ratios))
        return float(np.mean(groups))

    return loss


def naive_classes(prob: Array, given: dict[str, Any], *, background: bool = True) -> range:
    """The classes that are averaged over; of K = 1 it is 1."""
    if given["classes"] == 1:
        return range(1, 2)
    return range(0 if given.get("background", background) else 1, prob.shape[1])


naive_dice = naive_ratio(lambda p, y: 2 * p * y, lambda p, y: p + y, "batch")
naive_squared = naive_ratio(lambda p, y: 2 * p * y, lambda p, y: p * p + y * y, "image")
naive_jaccard = naive_ratio(lambda p, y: p * y, lambda p, y: p + y - p * y, "batch")

SQUARE = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
CROSS = [(i, j) for i, j in SQUARE if i == 0 or j == 0]


def pooled(area: Array, counted: Array, shape: list[tuple[int, int]], best: Any) -> Array:
    """``best`` of the counted pixels around each pixel of (H, W)."""
    result = area.copy()
    for row, col in zip(*np.nonzero(counted), strict=True):
        near = [(row + i, col + j) for i, j in shape]
        inside = [(r, c) for r, c in near if 0 <= r < area.shape[0] and 0 <= c < area.shape[1]]
        result[row, col] = best(area[r, c] for r, c in inside if counted[r, c])
    return result


def naive_skeleton(area: Array, counted: Array, iterations: int) -> Array:
    skeleton = np.zeros_like(area)
    for _ in range(iterations + 1):
        opened = pooled(pooled(area, counted, CROSS, min), counted, SQUARE, max)
        skeleton = skeleton + (1 - skeleton) * np.maximum(area - opened, 0)
        area = pooled(area, counted, CROSS, min)
    return skeleton


def naive_cldice(prob: Array, target: Array, **given: Any) -> float:
    scores: list[float] = []
    for k in naive_classes(prob, given, background=False):
        sums = np.full(4, given.get("smooth", 1.0))
        for p, labels in zip(prob[:, k], target, strict=True):
            counted, y = labels != IGNORE, (labels == k).astype(float)
            of_p, of_y = (
                naive_skeleton(area, counted, given["iterations"])[counted] for area in (p, y)
            )
            p, y = p[counted], y[counted]
            sums += [(of_p * y).sum(), of_p.sum(), (of_y * p).sum(), of_y.sum()]
        precision, recall = sums[0] / sums[1], sums[2] / sums[3]
        scores.append(1 - 2 * precision * recall / (precision + recall))
    return float(np.mean(scores))


def naive(term: dict[str, Any], logits: Tensor, target: Tensor) -> float:
    given = {key: value for key, value in term.items() if key != "name"}
    seen: tuple[Array, Array] = probabilities(logits), target.numpy()
    classes: dict[str, Any] = {"classes": logits.shape[1]}
    match term["name"]:
        case "bce" | "cross_entropy":
            return naive_cross_entropy(*seen, **given)
        case "focal":
            return naive_focal(*seen, **given)
        case "modified_bce":
            return naive_modified_bce(*seen, **given)
        case "dice":
            return naive_dice(*seen, **given, **classes)
        case "squared_dice":
            return naive_squared(*seen, **given, **classes)
        case "jaccard":
            return naive_jaccard(*seen, **given, **classes)
        case "bce_dice":
            return naive_cross_entropy(*seen) + naive_dice(*seen, **given, **classes)
        case "bce_iou":
            beta = float(given.pop("beta", 0.6))
            iou = naive_jaccard(*seen, smooth=0.0, **classes)
            return beta * naive_modified_bce(*seen, **given) + (1 - beta) * iou
        case "cldice":
            return naive_cldice(*seen, **(given | classes))
    raise KeyError(term["name"])


def test_no_loss_goes_without_a_naive_formula() -> None:
    assert {term["name"] for term in TERMS} == set(losses.LOSSES)


@every_count
@every_term
def test_it_is_what_loops_over_counted_pixels_give(term: dict[str, Any], classes: int) -> None:
    logits, target = drawn(classes)
    loss = built(term, classes)(logits, target)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(naive(term, logits, target), rel=1e-10)


@every_count
@every_term
def test_gradients_agree_with_finite_differences(term: dict[str, Any], classes: int) -> None:
    logits, target = (every[1:, ..., :4, :3] for every in drawn(classes))
    loss = built(term, classes)
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert gradient.abs().max() > 1e-4
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@every_count
@every_term
def test_masked_pixels_change_nothing(term: dict[str, Any], classes: int) -> None:
    logits, target = drawn(classes)
    loss = built(term, classes)
    masked = (target == IGNORE)[:, None].expand_as(logits)
    worse = torch.where(masked, torch.nan, logits)
    (gradient,) = torch.autograd.grad(loss(worse, target), logits)
    assert loss(worse, target) == loss(logits, target)
    assert gradient[masked].abs().max() == 0
    assert gradient.isfinite().all()


@every_term
def test_masked_columns_are_as_good_as_cut_off(term: dict[str, Any]) -> None:
    logits, target = drawn(4)
    target[:, :, 3:] = IGNORE
    loss = built(term, 4)
    cut = loss(logits[..., :3], target[..., :3])
    assert loss(logits, target).item() == pytest.approx(cut.item(), rel=1e-12)


@every_count
@every_term
def test_a_batch_without_counted_pixels_is_0_and_pulls_nowhere(
    term: dict[str, Any], classes: int
) -> None:
    logits, target = drawn(classes)
    loss = built(term, classes)(logits, torch.full_like(target, IGNORE))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss == 0
    assert gradient.abs().max() == 0


@pytest.mark.parametrize("size", [90.0, 1e4])
@every_count
@every_term
def test_extreme_logits_give_finite_losses_and_gradients(
    term: dict[str, Any], classes: int, size: float
) -> None:
    drawn_logits, target = drawn(classes)
    for kind in (torch.float16, torch.bfloat16, torch.float32):
        logits = (size * drawn_logits.detach().sign()).to(kind).requires_grad_()
        loss = built(term, classes)(logits, target)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert gradient.isfinite().all()


@every_count
@every_term
def test_what_is_surely_right_costs_nothing(term: dict[str, Any], classes: int) -> None:
    _, target = drawn(classes)
    index = torch.arange(max(classes, 2)) if classes > 1 else torch.tensor([1])
    right = torch.where(target[:, None] == index[:, None, None], 1e4, -1e4)
    assert built(term, classes)(right, target).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_two_classes_have_the_loss_of_the_one_that_is_their_difference(name: str) -> None:
    logits, target = drawn(2)
    takes = inspect.signature(losses.LOSSES[name]).parameters
    term = {"name": name} | ({"background": False} if "background" in takes else {})
    loss = losses.build([term])
    one = loss(logits[:, 1:] - logits[:, :1], target)
    assert loss(logits, target).item() == pytest.approx(one.item(), rel=1e-12)


@every_term
def test_half_precision_around_a_loss_does_not_reach_into_it(term: dict[str, Any]) -> None:
    logits, target = drawn(4)
    loss = built(term, 4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = loss(logits.float(), target.to(torch.uint8))
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(loss(logits, target).item(), rel=1e-5)
