"""Recipes are read strictly: a wrong key or value is named."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import yaml

from terralink.data.schema import RENAMED_KEYS, RENAMED_VALUES
from terralink.errors import RecipeError
from terralink.train import Recipe, list_bundled

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", list_bundled())
def test_a_shipped_recipe_is_valid_and_named_as_its_file(name: str) -> None:
    assert Recipe.from_name(name).name == name


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'roads'"):
        Recipe.from_name("road")


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
        Recipe.from_name("roads", {key: value})
    assert "\n" not in str(caught.value)


def test_a_changed_key_is_the_one_that_counts() -> None:
    changes = {"trainer.steps": "3", "train.1.source.fraction": "0.5", "augment.scale.0": "0.9"}
    recipe = Recipe.from_name("roads", changes)
    assert recipe.trainer.steps == 3
    assert recipe.augment.scale == (0.9, 1.33)
    assert [part.source.fraction for part in recipe.train] == [1, 0.5, 1]


@pytest.mark.parametrize("written", ["[1, 2]", "a: [", "\x00"])
def test_a_file_that_is_no_recipe_is_refused_in_one_line(tmp_path: Path, written: str) -> None:
    (tmp_path / "mine.yaml").write_text(written)
    with pytest.raises(RecipeError, match=r"mine\.yaml") as caught:
        Recipe.from_name(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(caught.value)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    recipe = Recipe.from_name("roads")
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert Recipe.from_file(tmp_path / "again.yaml") == recipe


def extending(tmp_path: Path, text: str, base: str = "roads") -> Recipe:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nextends: {base}\n{text}")
    return Recipe.from_file(path)


MINE = "{kind: pairs, folder: mine}"


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("", ["tune", "massachusetts", "dubai"]),
        ("val: {dubai: null, tune: ~}", ["massachusetts"]),
        ("val: null", []),
        (f"val: {{mine: {MINE}}}", ["tune", "massachusetts", "dubai", "mine"]),
        (f"without: [val]\nval: {{mine: {MINE}}}", ["mine"]),
        (f"without: val.dubai\nval: {{tune: {MINE}}}", ["tune", "massachusetts"]),
    ],
)
def test_validation_sets_of_what_is_extended_can_be_dropped(
    tmp_path: Path, text: str, sets: list[str]
) -> None:
    assert list(extending(tmp_path, text).val) == sets


def test_a_set_can_be_dropped_on_the_command_line() -> None:
    assert list(Recipe.from_name("roads", {"val.dubai": "null"}).val) == ["tune", "massachusetts"]
    assert Recipe.from_name("roads", {"val": "null"}).val == {}


def test_any_key_of_what_is_extended_can_be_dropped(tmp_path: Path) -> None:
    recipe = extending(tmp_path, "without: [augment, starts_from]\naugment: {crop_px: 64}")
    assert recipe.augment.noise == 0
    assert recipe.starts_from is None
    with pytest.raises(RecipeError, match="no key named 'vall'; did you mean 'val'"):
        extending(tmp_path, "without: [vall]")
    with pytest.raises(RecipeError, match=r"without loss\.x\.y: there is no such group"):
        extending(tmp_path, "without: [loss.x.y]")
    (tmp_path / "mine.yaml").write_text("name: mine\nwithout: [val]\n")
    with pytest.raises(RecipeError, match="keys of the recipe that is extended; none is"):
        Recipe.from_file(tmp_path / "mine.yaml")


def test_a_monitor_of_a_set_that_was_dropped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"'fields/accuracy' is a figure of no validation set"):
        extending(tmp_path, "val: null", base="paddy_deeplabv3_34")


@pytest.mark.parametrize(
    ("train", "kept"),
    [
        ("", True),
        ("train: [{source: {kind: massachusetts, part: train, fraction: 0.1}}, "
         "{source: {kind: dubai, tiles: [1]}}, {source: {kind: towns, count: 3}}]", True),
        ("train: [{source: {kind: massachusetts, part: train}}]", False),  # no Dubai in it
        (f"train: [{{source: {MINE}}}]", False),
    ],
)  # fmt: skip
def test_licence_and_attribution_are_of_the_data_that_are_trained_on(
    tmp_path: Path, train: str, kept: bool
) -> None:
    recipe, roads = extending(tmp_path, train), Recipe.from_name("roads")
    assert (recipe.licence == roads.licence) is kept
    assert (recipe.attribution == roads.attribution) is kept
    stated = extending(tmp_path, f"licence: CC0\nattribution: me\n{train}")
    assert (stated.licence, stated.credits) == ("CC0", "me")
    if train:
        (change,) = train.removeprefix("train: ").splitlines()
        changed = Recipe.from_name("roads", {"train": change})
        assert (changed.licence == roads.licence) is kept


def test_own_data_are_told_apart_by_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        f"name: base\nextends: roads\ntrain: [{{source: {MINE}}}]\nlicence: CC0\n"
    )
    base = str(tmp_path / "base.yaml")
    again = "train: [{source: {kind: pairs, folder: FOLDER, fraction: 0.5, values: {0: 0}}}]"
    assert extending(tmp_path, again.replace("FOLDER", "mine"), base).licence == "CC0"
    assert extending(tmp_path, again.replace("FOLDER", "yours"), base).licence == ""
    assert Recipe.from_name(base, {"train.0.source.folder": "yours"}).licence == ""
    assert Recipe.from_name(base, {"train.0.weight": "2"}).licence == "CC0"


def test_what_states_no_attribution_credits_the_sets_that_it_trains_on(tmp_path: Path) -> None:
    text = "train: [{source: {kind: massachusetts, part: train}}, {source: {kind: towns, count: 2}}"
    assert extending(tmp_path, f"{text}]").credits == (
        "Imagery MassGIS; labels (c) OpenStreetMap contributors (ODbL)"
    )
    assert extending(tmp_path, f"train: [{{source: {MINE}}}]").credits == ""


OLD = """
extends: epfl
without: augment.cast
name: old
about: A recipe as version 0.1 wrote it.
train:
  - source: {kind: epfl, take: kept}
val:
  mine: {kind: epfl, take: held_out}
augment: {hsv_chance: 0.5, warp_chance: 0.25, cast: [0.8, 1.2]}
shifts: {most_px: 8}
schedule: {kind: every, times: 0.25}
"""


def test_a_recipe_by_old_names_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    recipe = Recipe.from_file(tmp_path / "old.yaml", {"augment.cast.0": "0.7"})
    assert recipe.augment.channel_gain == (0.7, 1.2)
    assert (recipe.augment.hsv_p, recipe.augment.warp_p) == (0.5, 0.25)
    assert (recipe.train[0].source.take, recipe.val["mine"].take) == ("train", "val")
    assert recipe.schedule.model_dump() == {
        "warmup_steps": 0,
        "kind": "step",
        "epochs": 10,
        "gamma": 0.25,
    }
    assert recipe.shifts is not None
    assert recipe.shifts.max_px == 8
    assert "old.yaml: old names" in caplog.text
    assert "augment.cast is channel_gain" in caplog.text
    assert "--set: old names" in caplog.text


def to_old_names(place: str, value: Any) -> Any:
    """A recipe as version 0.1 stored it: the inverse of ``update_names``."""
    if isinstance(value, dict):
        group = {}
        for key, each in value.items():
            below = f"{place}.{key}".removeprefix(".")
            old = [k for k, new in RENAMED_KEYS.items() if f"{k.rpartition('.')[0]}.{new}" == below]
            group[old[0].rpartition(".")[2] if old else key] = to_old_names(below, each)
        return group
    if isinstance(value, list):
        return [to_old_names(f"{place}.{i}", each) for i, each in enumerate(value)]
    for pattern, renamed in RENAMED_VALUES.items():
        if fnmatchcase(place, pattern):
            return next((old for old, new in renamed.items() if new == value), value)
    return value


@pytest.mark.parametrize("name", list_bundled())
def test_a_recipe_that_was_stored_by_old_names_is_the_same(name: str, tmp_path: Path) -> None:
    recipe = Recipe.from_name(name)
    stored = to_old_names("", recipe.model_dump(mode="json"))
    assert "channel_gain" not in stored["augment"]
    (tmp_path / "stored.yaml").write_text(yaml.safe_dump(stored))
    assert Recipe.from_file(tmp_path / "stored.yaml") == recipe
