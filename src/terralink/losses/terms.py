"""Names and numbers of a recipe to one loss. What a loss takes is read from its signature."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from terralink.errors import RecipeError, unknown
from terralink.losses.pixels import NotNegative, bce, cross_entropy, focal, modified_bce
from terralink.losses.regions import bce_dice, bce_iou, dice, jaccard, squared_dice
from terralink.losses.skeletons import cldice

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[..., Tensor]] = {
    loss.__name__: loss
    for loss in (
        bce,
        bce_dice,
        bce_iou,
        cldice,
        cross_entropy,
        dice,
        focal,
        jaccard,
        modified_bce,
        squared_dice,
    )
}


def build(terms: Sequence[Mapping[str, Any]]) -> Loss:
    """The weighted sum of the terms; ``RecipeError`` as ``check`` has it.

    >>> loss = build([{"name": "bce"}, {"name": "focal", "weight": 2.0, "gamma": 2}])
    """
    parts = []
    for term in check(terms):
        name, weight = term.pop("name"), term.pop("weight")
        parts.append((weight, partial(LOSSES[name], **term)))
    return _Sum(tuple(parts))


def check(terms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The terms with every default written out, as the recipe of a run keeps them.

    ``RecipeError`` names loss and key: no such loss, no such parameter, a value out of its range.

    >>> check([{"name": "modified_bce", "alpha": 0.15}])
    [{'name': 'modified_bce', 'weight': 1.0, 'alpha': 0.15, 'gamma': 3}]
    """
    if isinstance(terms, str) or not isinstance(terms, Sequence) or not terms:
        raise RecipeError(f"loss: wanted a list of terms such as {{name: bce}}, not {terms!r}")
    return [_checked(term) for term in terms]


@dataclass(frozen=True)
class _Sum:
    """A class, not a closure, so that a process can be sent it."""

    parts: tuple[tuple[float, Loss], ...]

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        (weight, loss), *others = self.parts
        total = weight * loss(logits, target)
        for weight, loss in others:
            total = total + weight * loss(logits, target)
        return total


def _checked(term: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(term, Mapping) or "name" not in term:
        raise RecipeError(f"loss: wanted a term such as {{name: bce}}, not {term!r}")
    name, given = term["name"], {key: value for key, value in term.items() if key != "name"}
    if not isinstance(name, str) or name not in LOSSES:
        raise RecipeError(unknown("loss", str(name), LOSSES))
    kinds, values = _parameters(name)
    for key, value in given.items():
        if key not in kinds:
            raise RecipeError(unknown(f"parameter of loss {name}", str(key), kinds))
        values[key] = _value(f"loss {name}: {key}", kinds[key], value)
    return {"name": name, **values}


def _parameters(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the parameters of a loss may be, and their defaults; the term's weight among them."""
    hints = get_type_hints(LOSSES[name], include_extras=True)
    given = inspect.signature(LOSSES[name]).parameters.values()
    own = [one for one in given if one.kind is one.KEYWORD_ONLY]
    kinds = {"weight": NotNegative} | {one.name: hints[one.name] for one in own}
    return kinds, {"weight": 1.0} | {one.name: one.default for one in own}


def _value(what: str, kind: Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind, config=_FINITE).validate_python(value, strict=True)
    except ValidationError as error:
        wanted = error.errors()[0]["msg"].removeprefix("Input ")
        raise RecipeError(f"{what} {wanted}, not {value!r}") from error


_FINITE = ConfigDict(allow_inf_nan=False)
