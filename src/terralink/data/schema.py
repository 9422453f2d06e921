"""What the entries of a recipe are made of: strict models, and the types of their values."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from terralink.errors import unknown


class Strict(BaseModel):
    """Frozen; a key that is not known is refused, with the nearest that is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key in given:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key", str(key), cls.model_fields))
        return given


def _rising(low_high: tuple[float, float]) -> tuple[float, float]:
    low, high = low_high
    if low > high:
        raise ValueError(f"a range goes from the least to the most, not from {low} to {high}")
    return low_high


def _not_negative(low_high: tuple[float, float]) -> tuple[float, float]:
    if low_high[0] < 0:
        raise ValueError(f"wanted 0 or more, not {low_high[0]}")
    return low_high


def _positive(low_high: tuple[float, float]) -> tuple[float, float]:
    if low_high[0] <= 0:
        raise ValueError(f"a factor is above 0, not {low_high[0]}; 1 leaves things as they are")
    return low_high


Finite = Annotated[float, Field(allow_inf_nan=False)]
Range = Annotated[tuple[Finite, Finite], AfterValidator(_rising)]
Widths = Annotated[Range, AfterValidator(_not_negative)]
Factors = Annotated[Range, AfterValidator(_positive)]
Chance = Annotated[float, Field(ge=0, le=1)]
