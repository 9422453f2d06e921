"""Every network by name: ``@register`` a function, and ``create_model`` makes it."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from terralink.errors import ModelError, unknown

_MEMBERS: dict[str, Callable[..., nn.Module]] = {}
_Make = TypeVar("_Make", bound=Callable[..., nn.Module])


def register(make: _Make) -> _Make:
    """List ``make`` under its own name."""
    _MEMBERS[make.__name__] = make
    return make


def list_models() -> list[str]:
    """The names of all networks, sorted."""
    return sorted(_MEMBERS)


def create_model(name: str, **arguments: Any) -> nn.Module:
    """Make the network ``name``; ``in_channels``, ``num_classes`` and ``weights`` fit every one.

    ``weights`` is None or ``"imagenet"`` (the encoder's). Raises ``ModelError`` for a name that
    does not exist and for an argument that the network does not take.

    >>> create_model("linknet34", num_classes=3).head[-1].out_channels
    3
    """
    if name not in _MEMBERS:
        raise ModelError(unknown("model", name, _MEMBERS))
    try:
        return _MEMBERS[name](**arguments)
    except TypeError as error:
        raise ModelError(f"model {name!r}: {error}") from error


def describe(name: str) -> str:
    """The first line of the member's docstring."""
    return (_MEMBERS[name].__doc__ or "").strip().partition("\n")[0]
