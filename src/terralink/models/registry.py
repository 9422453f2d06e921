"""Every network by name: ``@register`` a function, and ``create_model`` makes it."""

import re
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar

from terralink.errors import ModelError, unknown
from terralink.models.network import Network

_MEMBERS: dict[str, Callable[..., Network]] = {}
_Make = TypeVar("_Make", bound=Callable[..., Network])
_MOST = {"in_channels": 16, "num_classes": 100}


Weights: TypeAlias = Literal["imagenet"] | None


class Input(TypedDict, total=False):
    """What every encoder takes."""

    in_channels: int
    weights: Weights


class Usual(Input, total=False):
    """What every network takes."""

    num_classes: int


def register(make: _Make) -> _Make:
    """List ``make`` under its own name."""
    _MEMBERS[make.__name__] = make
    return make


def list_models() -> list[str]:
    """The names of all networks, sorted."""
    return sorted(_MEMBERS)


def create_model(name: str, **arguments: Any) -> Network:
    """Make the network ``name``.

    Every one takes ``in_channels`` (1 to 16 bands), ``num_classes`` (1 to 100) and ``weights``
    (None, or ``"imagenet"`` for the encoder). Raises ``ModelError`` for a name that does not exist,
    for an argument that the network does not take and for numbers out of range.

    >>> create_model("linknet34", num_classes=3).head[-1].out_channels
    3
    """
    if name not in _MEMBERS:
        raise ModelError(unknown("model", name, _MEMBERS))
    for key, most in _MOST.items():
        if not 1 <= arguments.get(key, 1) <= most:
            raise ModelError(f"model {name!r} takes {key} from 1 to {most}; got {arguments[key]}")
    try:
        network = _MEMBERS[name](**arguments)
    except TypeError as error:
        raise ModelError(f"model {name!r}: {error}") from error
    network.config = {"name": name, **arguments}
    return network


def describe(name: str) -> str:
    """The first line of the member's docstring."""
    return (_MEMBERS[name].__doc__ or "").strip().partition("\n")[0]


def source(name: str) -> str:
    """The paper that the member's docstring names; empty for one of our own.

    >>> source("dlinknet34")
    'Zhou et al. 2018'
    """
    found = re.search(r"Source: (.*)\.$", _MEMBERS[name].__doc__ or "", re.MULTILINE)
    return found[1] if found else ""
