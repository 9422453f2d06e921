"""Several model files as one: the weighted mean of what they see, in one pass over the scene."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink.errors import ModelError
from terralink.inference.model import Model
from terralink.model_card import Metadata

_SAME = ("classes", "bands", "pixel_size_m")


class Ensemble:
    """Models that take the same bands at the same size, each with a weight; used as one model.

    Its tiles and margins are as large as the largest of theirs, its threshold is their mean.
    Raises ``ModelError`` when they do not fit together.
    """

    def __init__(self, models: Sequence[Model], weights: Sequence[float] | None = None) -> None:
        self.models = tuple(models)
        given = [1.0] * len(models) if weights is None else list(weights)
        if not models or len(given) != len(models) or not all(weight > 0 for weight in given):
            raise ModelError(
                f"an ensemble wants a weight over 0 for each model; {len(models)} models and the "
                f"weights {given} came"
            )
        self.weights = tuple(weight / math.fsum(given) for weight in given)
        self.metadata = _common_card([model.metadata for model in models], self.weights)

    @property
    def provider(self) -> str:
        """Who computes, and in what precision, for each model."""
        return "; ".join(model.provider for model in self.models)

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """As ``Model.levels``; each image is fetched once."""
        copies = tee(images, len(self.models))
        each = (model.levels(copy) for model, copy in zip(self.models, copies, strict=True))
        for found in zip(*each, strict=True):
            mean: NDArray[Any] = sum(
                np.float32(weight) * levels
                for weight, levels in zip(self.weights, found, strict=True)
            )
            yield np.rint(mean).astype(np.uint8)


def _common_card(cards: Sequence[Metadata], weights: Sequence[float]) -> Metadata:
    first = cards[0]
    for card in cards[1:]:
        for key in _SAME:
            if getattr(card, key) != getattr(first, key):
                raise ModelError(
                    f"models of an ensemble have the same {key}; {first.name!r} has "
                    f"{getattr(first, key)}, {card.name!r} has {getattr(card, key)}"
                )
    thresholds = (card.threshold for card in cards)
    return first.model_copy(
        update={
            "name": "+".join(card.name for card in cards),
            "tile_px": max(card.tile_px for card in cards),
            "margin_px": max(card.margin_px for card in cards),
            "threshold": math.fsum(w * t for w, t in zip(weights, thresholds, strict=True)),
        }
    )
