"""Losses against naive formulas."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from terralink import losses  # noqa: E402
from terralink.data.chips import IGNORE  # noqa: E402
from terralink.errors import RecipeError  # noqa: E402

pytestmark = pytest.mark.torch


def drawn() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(size=(2, 1, 4, 5)), requires_grad=True)
    target = torch.tensor(rng.choice([0, 1, IGNORE], size=(2, 4, 5)))
    return logits, target


def counted_pixels(logits: Tensor, target: Tensor) -> list[tuple[float, int]]:
    prob = 1 / (1 + np.exp(-logits.detach().numpy()[:, 0]))
    pairs = zip(prob.ravel().tolist(), target.numpy().ravel().tolist(), strict=True)
    return [(p, t) for p, t in pairs if t != IGNORE]


def test_bce_is_the_mean_over_counted_pixels() -> None:
    logits, target = drawn()
    pixels = counted_pixels(logits, target)
    naive = -sum(np.log(p if t else 1 - p) for p, t in pixels) / len(pixels)
    assert losses.bce(logits, target).item() == pytest.approx(naive, rel=1e-6)


def test_dice_is_one_ratio_over_the_batch() -> None:
    logits, target = drawn()
    pixels = counted_pixels(logits, target)
    both = sum(p * t for p, t in pixels)
    either = sum(p for p, _ in pixels) + sum(t for _, t in pixels)
    naive = 1 - (2 * both + 1) / (either + 1)
    assert losses.dice(logits, target).item() == pytest.approx(naive, rel=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    logits, target = drawn()
    loss = losses.by_name(name)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), (logits,))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_a_batch_without_counted_pixels_has_no_gradient(name: str) -> None:
    logits, target = drawn()
    loss = losses.by_name(name)(logits, torch.full_like(target, IGNORE))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() == 0


def test_a_misspelt_loss_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'dice'"):
        losses.by_name("dicee")
