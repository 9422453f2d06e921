"""Terms of a recipe to one loss, and the line that each mistake gets."""

import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink import losses  # noqa: E402
from terralink.errors import RecipeError  # noqa: E402

pytestmark = pytest.mark.torch

LOGITS = torch.tensor([1.0, -2.0, 0.5]).reshape(1, 1, 1, 3)
TARGET = torch.tensor([1, 0, 0]).reshape(1, 1, 3)


def test_a_loss_is_the_weighted_sum_of_its_terms() -> None:
    loss = losses.build([{"name": "bce"}, {"name": "focal", "weight": 0.5, "gamma": 2}])
    by_hand = losses.bce(LOGITS, TARGET) + 0.5 * losses.focal(LOGITS, TARGET, gamma=2)
    assert loss(LOGITS, TARGET) == by_hand


def test_a_loss_can_be_sent_to_another_process() -> None:
    loss = losses.build([{"name": "bce_iou", "beta": 0.7}])
    assert pickle.loads(pickle.dumps(loss))(LOGITS, TARGET) == loss(LOGITS, TARGET)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_defaults_are_allowed_and_written_out(name: str) -> None:
    (term,) = losses.check([{"name": name}])
    assert term["weight"] == 1
    assert losses.check([term]) == [term]


def test_the_terms_that_are_given_stay_as_they_are() -> None:
    terms = [{"name": "dice", "smooth": 2}]
    losses.build(terms)
    assert terms == [{"name": "dice", "smooth": 2}]


@pytest.mark.parametrize(
    ("term", "line"),
    [
        ({"name": "focall"}, "no loss named 'focall'; did you mean 'focal'?"),
        ({"name": 3}, "no loss named '3'; there are: bce, bce_dice, "),
        (
            {"name": "focal", "gama": 2},
            "no parameter of loss focal named 'gama'; did you mean 'gamma'",
        ),
        ({"name": "bce", "alpha": 1}, "no parameter of loss bce named 'alpha'; there are: weight"),
        (
            {"name": "focal", "alpha": 1.5},
            "loss focal: alpha should be less than or equal to 1, not 1.5",
        ),
        ({"name": "focal", "gamma": True}, "loss focal: gamma should be a valid number, not True"),
        ({"name": "focal", "gamma": "2"}, "loss focal: gamma should be a valid number, not '2'"),
        ({"name": "bce_iou", "beta": float("nan")}, "loss bce_iou: beta should be a finite number"),
        (
            {"name": "bce_iou", "gamma": 0},
            "loss bce_iou: gamma should be greater than or equal to 1",
        ),
        ({"name": "modified_bce", "gamma": 2.5}, "gamma should be a valid integer, not 2.5"),
        (
            {"name": "dice", "over": "tile"},
            "loss dice: over should be 'batch' or 'image', not 'tile'",
        ),
        ({"name": "dice", "weight": -1}, "loss dice: weight should be greater than or equal to 0"),
        ({"name": "cldice", "smooth": 0}, "loss cldice: smooth should be greater than 0, not 0"),
        ({"nam": "bce"}, "loss: expected a term such as {name: bce}, not {'nam': 'bce'}"),
        ("bce", "loss: expected a term such as {name: bce}, not 'bce'"),
    ],
)
def test_a_mistake_in_a_term_names_the_loss_the_key_and_what_is_allowed(
    term: Any, line: str
) -> None:
    with pytest.raises(RecipeError) as told:
        losses.build([{"name": "bce"}, term])
    assert line in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("terms", ["bce", [], {"name": "bce"}, None])
def test_what_is_no_list_of_terms_is_told(terms: Any) -> None:
    with pytest.raises(RecipeError, match=r"expected a list of terms such as \{name: bce\}"):
        losses.check(terms)
