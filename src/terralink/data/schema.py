"""The parts of a recipe: strict models, types of values, and old names of keys."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from terralink.errors import RecipeError, unknown

# Keys that were renamed in 0.2, by their place in a recipe; a * stands for any name or index.
RENAMED_KEYS: Mapping[str, str] = {
    "augment.cast": "channel_gain",
    "augment.hsv_chance": "hsv_p",
    "augment.warp_chance": "warp_p",
    "schedule.least_rate": "min_learning_rate",
    "schedule.times": "gamma",
    "shifts.most_px": "max_px",
}
_TAKE = {"kept": "train", "held_out": "val"}
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {
    "schedule.kind": {"every": "step"},
    "train.*.source.take": _TAKE,
    "val.*.take": _TAKE,
}


def update_names(place: str, value: Any, found: set[str]) -> tuple[str, Any]:
    """A dotted place in a recipe and its value, by today's names of keys and values.

    A line for each old name is added to ``found``. Raises ``RecipeError`` where a group has a key
    by its old and by its new name.

    >>> update_names("augment", {"cast": [0.9, 1.1]}, set())
    ('augment', {'channel_gain': [0.9, 1.1]})
    >>> update_names("train.0.source.take", "kept", set())
    ('train.0.source.take', 'train')
    """
    place = _update_place(place, found)
    if isinstance(value, dict):
        return place, _update_group(place, value, found)
    if isinstance(value, list):
        return place, [
            update_names(f"{place}.{index}", each, found)[1] for index, each in enumerate(value)
        ]
    for pattern, renamed in RENAMED_VALUES.items():
        if isinstance(value, str) and value in renamed and fnmatchcase(place, pattern):
            found.add(f"{value} is {renamed[value]} in {place.rpartition('.')[2]}")
            return place, renamed[value]
    return place, value


def _update_place(place: str, found: set[str]) -> str:
    for old, new in RENAMED_KEYS.items():
        if f"{place}.".startswith(f"{old}."):
            found.add(f"{old} is {new}")
            return f"{old.rpartition('.')[0]}.{new}{place.removeprefix(old)}"
    return place


def _update_group(place: str, group: dict[Any, Any], found: set[str]) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in group.items():
        below = f"{place}.{key}" if place else str(key)
        new_key = RENAMED_KEYS.get(below, key)
        if new_key != key and new_key in group:
            raise RecipeError(f"{below} is the old name of {new_key}: a recipe has one of them")
        result[new_key] = update_names(below, value, found)[1]
    return result


class StrictModel(BaseModel):
    """Frozen; an unknown key is refused, with the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key", str(key), cls.model_fields))
        return values


def _check_order(low_high: tuple[float, float]) -> tuple[float, float]:
    low, high = low_high
    if low > high:
        raise ValueError(f"a range goes from the least to the most, not from {low} to {high}")
    return low_high


def _check_not_negative(low_high: tuple[float, float]) -> tuple[float, float]:
    if low_high[0] < 0:
        raise ValueError(f"wanted 0 or more, not {low_high[0]}")
    return low_high


def _check_positive(low_high: tuple[float, float]) -> tuple[float, float]:
    if low_high[0] <= 0:
        raise ValueError(f"a factor is above 0, not {low_high[0]}; 1 changes nothing")
    return low_high


Finite = Annotated[float, Field(allow_inf_nan=False)]
Range = Annotated[tuple[Finite, Finite], AfterValidator(_check_order)]
Widths = Annotated[Range, AfterValidator(_check_not_negative)]
Factors = Annotated[Range, AfterValidator(_check_positive)]
Probability = Annotated[float, Field(ge=0, le=1)]
