"""Two views of a sample, moved against each other, must agree."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from terralink.errors import RecipeError  # noqa: E402
from terralink.losses.regions import Shift  # noqa: E402

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("seed", range(12))
def test_a_map_of_the_ground_agrees_with_itself(seed: int) -> None:
    """What is a function of each pixel alone is the same in both views."""
    rng = np.random.default_rng(seed)
    shift = Shift.sample(80, 16, rng)
    samples = torch.rand(3, 2, 80, 80)
    views = shift.views(samples)
    assert views.shape == (6, 2, 64, 64)
    assert 0 <= min(shift.down, shift.right) <= max(shift.down, shift.right) <= 16
    assert shift.disagreement(views).item() == 0
    assert shift.disagreement(torch.cat([views[:3], 1 - views[3:]])).item() > 0.1


def test_the_views_of_masks_are_those_of_images() -> None:
    shift = Shift(down=3, right=5, side_px=32)
    mask = torch.arange(40 * 40).reshape(1, 40, 40)
    first, second = shift.views(mask)
    assert first[3, 5] == second[0, 0] == mask[0, 3, 5]
    assert (first[3:, 5:] == second[:-3, :-5]).all()


def test_masks_that_share_nothing_are_one_apart_whatever_their_size() -> None:
    shift = Shift(down=0, right=0, side_px=64)

    def apart(first: Tensor, second: Tensor) -> float:
        return float(shift.disagreement(torch.stack([first, second])[:, None]))

    for width in (2, 8):
        left, right = torch.zeros(64, 64), torch.zeros(64, 64)
        left[:, 10 : 10 + width] = right[:, 40 : 40 + width] = 1
        assert apart(left, right) == pytest.approx(1)
        assert apart(left, left) == 0
    assert apart(torch.zeros(64, 64), torch.zeros(64, 64)) == 0


def test_all_shifts_come_up_and_none_is_larger() -> None:
    rng = np.random.default_rng(0)
    drawn = [Shift.sample(32, 4, rng) for _ in range(300)]
    assert {shift.down for shift in drawn} == {shift.right for shift in drawn} == set(range(5))


def test_a_sample_that_is_no_larger_than_the_shift_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"larger"):
        Shift.sample(16, 16, np.random.default_rng(0))
