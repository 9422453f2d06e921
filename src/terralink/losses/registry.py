"""The losses by name: the terms of a recipe to one loss. Parameters come from the signatures."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from torch import Tensor

from terralink.errors import RecipeError, unknown
from terralink.losses.pixels import NonNegative, bce, cross_entropy, focal, modified_bce
from terralink.losses.regions import bce_dice, bce_iou, cldice, dice, jaccard, squared_dice

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
    return _WeightedSum(tuple(parts))


def check(terms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The terms with every default written out, as the recipe of a run keeps them.

    ``RecipeError`` names loss and key: no such loss, no such parameter, a value out of its range.

    >>> check([{"name": "modified_bce", "alpha": 0.15}])
    [{'name': 'modified_bce', 'weight': 1.0, 'alpha': 0.15, 'gamma': 3}]
    """
    if isinstance(terms, str) or not isinstance(terms, Sequence) or not terms:
        raise RecipeError(f"loss: expected a list of terms such as {{name: bce}}, not {terms!r}")
    return [_check_term(term) for term in terms]


@dataclass(frozen=True)
class _WeightedSum:
    """A class, not a closure, so that it can be pickled."""

    parts: tuple[tuple[float, Loss], ...]

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        (weight, loss), *others = self.parts
        total = weight * loss(logits, target)
        for weight, loss in others:
            total = total + weight * loss(logits, target)
        return total


def _check_term(term: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(term, Mapping) or "name" not in term:
        raise RecipeError(f"loss: expected a term such as {{name: bce}}, not {term!r}")
    name = term["name"]
    arguments = {key: value for key, value in term.items() if key != "name"}
    if not isinstance(name, str) or name not in LOSSES:
        raise RecipeError(unknown("loss", str(name), LOSSES))
    types, values = _parameters(name)
    for key, value in arguments.items():
        if key not in types:
            raise RecipeError(unknown(f"parameter of loss {name}", str(key), types))
        values[key] = _validate(f"loss {name}: {key}", types[key], value)
    return {"name": name, **values}


def _parameters(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Types and defaults of a loss's parameters, and of the weight of the term."""
    hints = get_type_hints(LOSSES[name], include_extras=True)
    parameters = inspect.signature(LOSSES[name]).parameters.values()
    options = [each for each in parameters if each.kind is each.KEYWORD_ONLY]
    types = {"weight": NonNegative} | {each.name: hints[each.name] for each in options}
    return types, {"weight": 1.0} | {each.name: each.default for each in options}


def _validate(what: str, type_: Any, value: Any) -> Any:
    try:
        return TypeAdapter(type_, config=_FINITE).validate_python(value, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Input ")
        raise RecipeError(f"{what} {message}, not {value!r}") from error


_FINITE = ConfigDict(allow_inf_nan=False)
