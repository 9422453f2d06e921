"""The papers' formulas on numbers to be worked out on paper, and what each loss is for."""

from math import log, sqrt

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from terralink import losses  # noqa: E402
from terralink.data.chips import IGNORE  # noqa: E402
from terralink.errors import InputError, RecipeError  # noqa: E402
from terralink.losses.regions import soft_skeleton  # noqa: E402

pytestmark = pytest.mark.torch

# A road pixel held to be one at 3/4, and one that is none held to be at 1/4; a third is masked.
LOGITS = torch.tensor([log(3), -log(3), 7.0]).reshape(1, 1, 1, 3)
TARGET = torch.tensor([1, 0, IGNORE]).reshape(1, 1, 3)


def sure(rows: str) -> tuple[Tensor, Tensor]:
    """Logits that are sure of what is drawn with #, and its labels: (1, 1, H, W), (1, H, W)."""
    drawn = torch.tensor([[sign == "#" for sign in row] for row in rows.split()])[None]
    return torch.where(drawn, 1e4, -1e4)[:, None], drawn.long()


def test_bce_of_three_quarters() -> None:
    assert losses.bce(LOGITS, TARGET).item() == pytest.approx(log(4 / 3))


def test_class_weights_are_shares_of_the_mean() -> None:
    wrong = torch.where(TARGET == 0, -LOGITS[:, 0], LOGITS[:, 0])[:, None]  # p_t = 1/4 at label 0
    loss = losses.cross_entropy(wrong, TARGET, class_weights=[3, 1])
    assert loss.item() == pytest.approx((3 * log(4) + log(4 / 3)) / 4)


def test_focal_of_three_quarters_with_the_numbers_of_pp_linknet() -> None:
    each = sqrt(1 / 4) * log(4 / 3)
    assert losses.focal(LOGITS, TARGET).item() == pytest.approx((0.25 * each + 0.75 * each) / 2)


def test_focal_without_alpha_and_gamma_is_bce() -> None:
    assert losses.focal(LOGITS, TARGET, alpha=None, gamma=0) == losses.bce(LOGITS, TARGET)


def test_frozen_weights_of_focal_pass_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = losses.focal(logits, TARGET, frozen_weights=True)
    (gradient,) = torch.autograd.grad(loss, logits)
    # d(-log p_t)/dx is -1/4 at the road and 1/4 beside it; the weight (1 - p_t)^0.5 is 1/2
    by_hand = [0.25 / 2 * -0.25 / 2, 0.75 / 2 * 0.25 / 2, 0]
    assert loss == losses.focal(LOGITS, TARGET)
    assert gradient.flatten().tolist() == pytest.approx(by_hand)


def test_modified_bce_of_a_half_with_the_numbers_of_linknetb7() -> None:
    loss = losses.modified_bce(torch.zeros(1, 1, 1, 3), TARGET)
    assert loss.item() == pytest.approx(0.25 * 0.5**3 * log(2))


def test_dice_of_three_quarters() -> None:
    loss = losses.dice(LOGITS, TARGET, smooth=0.0)
    assert loss.item() == pytest.approx(1 - 2 * 0.75 / (1 + 1))


def test_dice_is_over_the_batch_and_squared_dice_over_each_image() -> None:
    logits, target = LOGITS.permute(3, 1, 2, 0), TARGET.permute(2, 1, 0)  # three images of a pixel
    batch = losses.dice(logits, target, smooth=0.0)
    image = losses.squared_dice(logits, target, smooth=0.0)
    assert batch == losses.dice(LOGITS, TARGET, smooth=0.0)
    # the first is 1 - 2 (3/4) / (9/16 + 1) = 1/25; the second, without road, 1; the third is masked
    assert image.item() == pytest.approx((1 / 25 + 1) / 2)


def test_squared_dice_of_three_quarters() -> None:
    loss = losses.squared_dice(LOGITS, TARGET, smooth=0.0)
    assert loss.item() == pytest.approx(1 - 2 * 0.75 / (9 / 16 + 1 / 16 + 1))


def test_jaccard_is_one_ratio_of_sums_and_no_sum_of_ratios() -> None:
    loss = losses.jaccard(LOGITS, TARGET, smooth=0.0)
    assert loss.item() == pytest.approx(1 - 0.75 / (1 + 1 / 4))


def test_bce_iou_weighs_its_halves_by_beta() -> None:
    entropy = 0.25 * (1 / 4) ** 3 * log(4 / 3)  # 1 - exp(-log(4/3)) = 1/4
    loss = losses.bce_iou(LOGITS, TARGET)
    assert loss.item() == pytest.approx(0.6 * entropy + 0.4 * 0.4)


def test_bce_dice_is_their_sum() -> None:
    loss = losses.bce_dice(LOGITS, TARGET, smooth=0.0)
    assert loss.item() == pytest.approx(log(4 / 3) + 0.25)


def test_cldice_of_a_line_with_a_gap() -> None:
    logits, _ = sure("..... ##.## .....")
    _, target = sure("..... ##### .....")
    precision, recall = (4 + 1) / (4 + 1), (4 + 1) / (5 + 1)
    loss = losses.cldice(logits, target).item()
    assert loss == pytest.approx(1 - 2 * precision * recall / (precision + recall))


def test_cldice_minds_gaps_where_dice_minds_widths() -> None:
    _, road = sure("........ ######## ######## ######## ........")
    thin, _ = sure("........ ........ ######## ........ ........")
    torn, _ = sure("........ ###..### ###..### ###..### ........")
    assert losses.cldice(thin, road).item() == pytest.approx(0)
    assert losses.dice(thin, road) > 0.45
    assert losses.cldice(torn, road) > 0.09
    assert losses.dice(torn, road) < 0.15


@pytest.mark.parametrize(("width_px", "thin"), [(1, True), (7, True), (8, True), (9, False)])
def test_a_road_wider_than_twice_the_erosions_has_no_skeleton(width_px: int, thin: bool) -> None:
    _, road = sure(" ".join(["........", *["########"] * width_px, "........"]))
    counted = torch.ones(1, 1, *road.shape[1:], dtype=torch.bool)
    skeleton = soft_skeleton(road[None].float(), counted, iterations=3)
    assert skeleton.any() == thin
    assert skeleton.sum(2).max() <= 2  # a line, of two pixels where the width is even


def test_a_target_of_another_size_is_told() -> None:
    with pytest.raises(InputError, match=r"logits \(1, 1, 1, 3\) and target \(1, 2, 3\)"):
        losses.bce(LOGITS, torch.zeros(1, 2, 3))


@pytest.mark.parametrize(("classes", "last"), [(1, 1), (2, 1), (4, 3)])
def test_a_label_outside_the_classes_is_told(classes: int, last: int) -> None:
    with pytest.raises(
        InputError, match=f"labels are 0 to {last}, or 255 .* holds 0 to {last + 1}"
    ):
        losses.dice(LOGITS.expand(1, classes, 1, 3), torch.tensor([[[0, last + 1, IGNORE]]]))


def test_class_weights_of_another_count_are_told() -> None:
    with pytest.raises(RecipeError, match=r"class_weights has 3 numbers; .* each of the 2 classes"):
        losses.cross_entropy(LOGITS, TARGET, class_weights=[1, 1, 1])
