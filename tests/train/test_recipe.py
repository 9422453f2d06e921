"""Recipes are read strictly: a wrong key or value is named."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
from terralink.errors import RecipeError
from terralink.train import Recipe, shipped

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_recipe_is_valid_and_named_as_its_file(name: str) -> None:
    assert Recipe.named(name).name == name


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'roads'"):
        Recipe.named("road")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("trainer.stepz", "3", "trainer: no key named 'stepz'; did you mean 'steps'"),
        ("trainer.steps", "many", "trainer.steps"),
        ("trainer.steps", "-1", "trainer.steps"),
        ("optimiser.learning_rate", "1", "'optimiser' is no group"),
        ("train.7.weight", "1", "'7' is none of the places 0 to 2"),
        ("train.first.weight", "1", "'first' is none of the places"),
        ("train.0.source.fraction", "2", "train.0.source.massachusetts.fraction"),
        ("agument", "{}", "no key named 'agument'; did you mean 'augment'"),
        ("augment.crop", "3", "augment: no key named 'crop'; did you mean 'crop_px'"),
        ("trainer.precision", "half", "trainer.precision: Input should be '32-true', 'bf16-mixed'"),
        ("train", "[{source: {kind: mars}, weight: 1}]", "train.0.source"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_place(key: str, value: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as caught:
        Recipe.named("roads", {key: value})
    assert "\n" not in str(caught.value)


def test_a_changed_key_is_the_one_that_counts() -> None:
    changes = {"trainer.steps": "3", "train.1.source.fraction": "0.5", "augment.scale.0": "0.9"}
    recipe = Recipe.named("roads", changes)
    assert recipe.trainer.steps == 3
    assert recipe.augment.scale == (0.9, 1.33)
    assert [part.source.fraction for part in recipe.train] == [1, 0.5, 1]


@pytest.mark.parametrize("written", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path: Path, written: str) -> None:
    (tmp_path / "mine.yaml").write_text(written)
    with pytest.raises(RecipeError, match=r"mine\.yaml") as caught:
        Recipe.named(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(caught.value)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    recipe = Recipe.named("roads")
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert Recipe.from_file(tmp_path / "again.yaml") == recipe
