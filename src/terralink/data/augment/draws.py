"""What may be drawn, as types that a recipe's values are checked against, and the drawing.

What has one value only costs no draw, so a key that is added later leaves the samples of older
recipes alone.
"""

import math
from collections.abc import Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import AfterValidator, Field

T = TypeVar("T")


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


def uniform(low_high: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = low_high
    return low if low == high else float(rng.uniform(low, high))


def factor(low_high: tuple[float, float], rng: np.random.Generator) -> float:
    """Uniform in the logarithm: twice is as likely as half."""
    low, high = low_high
    return math.exp(uniform((math.log(low), math.log(high)), rng))


def happens(chance: float, rng: np.random.Generator) -> bool:
    return chance == 1 or bool(rng.random() < chance)


def one_of(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[0] if len(choices) == 1 else choices[int(rng.integers(len(choices)))]
