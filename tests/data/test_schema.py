"""Old names of recipe keys and values are read by their new names, each of them."""

import pytest

from terralink.data.schema import RENAMED_KEYS, RENAMED_VALUES, update_names
from terralink.errors import RecipeError


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_an_old_key_is_read_by_its_new_name(old: str, new: str) -> None:
    group, _, key = old.partition(".")
    found: set[str] = set()
    assert update_names("", {group: {key: 3, "other": 4}}, found) == (
        "",
        {group: {new: 3, "other": 4}},
    )
    assert found == {f"{old} is {new}"}
    assert update_names(old, 3, set()) == (f"{group}.{new}", 3)
    assert update_names(f"{old}.0", 3, set()) == (f"{group}.{new}.0", 3)
    assert update_names(f"{old}s", 3, set()) == (f"{old}s", 3)


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [(place, *names) for place, renamed in RENAMED_VALUES.items() for names in renamed.items()],
)
def test_an_old_value_is_read_by_its_new_name(place: str, old: str, new: str) -> None:
    at = place.replace("train.*", "train.0").replace("*", "any set")
    found: set[str] = set()
    assert update_names(at, old, found) == (at, new)
    assert len(found) == 1
    assert update_names(f"other.{at}", old, set()) == (f"other.{at}", old)


def test_names_of_today_and_keys_that_are_numbers_stay() -> None:
    recipe = {"train": [{"source": {"take": "val", "values": {0: 0, 255: 1}}}], "val": {}}
    found: set[str] = set()
    assert update_names("", recipe, found) == ("", recipe)
    assert not found


def test_a_key_by_both_its_names_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"augment\.cast is the old name of channel_gain"):
        update_names("", {"augment": {"cast": [1, 1], "channel_gain": [1, 1]}}, set())
