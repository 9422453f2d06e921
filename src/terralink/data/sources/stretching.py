"""How a recipe says what maps the levels of its scenes to 0..255."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer

from terralink.raster import Stretch


def _read(written: Any) -> Any:
    """``none``, or three lists (low, middle, high) as a run that measured one recorded it."""
    if written == "none":
        return Stretch.none()
    if isinstance(written, dict):
        wrong = set(written) ^ {"low", "middle", "high"}
        if wrong:
            raise ValueError(
                f"a stretch has low, middle and high; {', '.join(sorted(wrong))} differ"
            )
        return Stretch(**{name: tuple(map(float, levels)) for name, levels in written.items()})
    return written


def as_plain(stretch: Any) -> Any:
    """As a recipe has it."""
    if not isinstance(stretch, Stretch):
        return stretch
    if stretch == Stretch.none():
        return "none"
    return {name: list(getattr(stretch, name)) for name in ("low", "middle", "high")}


Stretching = Annotated[
    Literal["measured"] | Stretch, BeforeValidator(_read), PlainSerializer(as_plain)
]
