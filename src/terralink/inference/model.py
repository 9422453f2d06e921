"""A model that predicts: tiles of pixel values in, probabilities out; alone or as an ensemble.

``terralink.inference.backends`` computes it: with OpenVINO or ONNX Runtime for a model file, with
torch for the folder of a training run.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import tee
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from terralink.errors import ModelError
from terralink.model_card import Metadata

PROB_SCALE = 255  # a probability p is stored as uint8 round(255 p)
_EQUAL_IN_ENSEMBLE = ("classes", "bands", "pixel_size_m")


class Predictor(Protocol):
    """What prediction needs of a model: metadata, and probabilities of images; see ``Model``."""

    metadata: Metadata

    @property
    def provider(self) -> str: ...

    def predict_uint8(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]: ...


class Model(ABC):
    """A model file or folder, and the library that computes it.

    provider_name   the name of that library as ``load_model`` takes it
    """

    provider_name: ClassVar[str]

    def __init__(self, path: Path, metadata: Metadata):
        self.path = path
        self.metadata = metadata

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that determine the result."""
        return (self.path,)

    @property
    @abstractmethod
    def provider(self) -> str:
        """Library, device and precision; the precision is the last word."""

    def predict_uint8(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """round(255 p) as uint8 (classes, side, side) of each image (bands, side, side), in order.

        All images have the same side, a multiple of 32. The next images are fetched while some are
        computed: as many as the machine computes at once, and as many again wait.
        """
        return self._compute(images, as_uint8=True)

    def predict_float32(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """As ``predict_uint8``, but probabilities from 0 to 1 as float32."""
        return self._compute(images, as_uint8=False)

    @abstractmethod
    def _compute(
        self, images: Iterable[NDArray[np.uint8]], *, as_uint8: bool
    ) -> Iterator[NDArray[Any]]: ...


class Ensemble:
    """The weighted mean of several models with the same bands and pixel size, used as one model.

    Its tile size and margin are the largest of theirs, its threshold is their weighted mean.
    Raises ``ModelError`` when the models do not fit together.
    """

    def __init__(self, models: Sequence[Model], weights: Sequence[float] | None = None) -> None:
        self.models = tuple(models)
        weights = [1.0] * len(models) if weights is None else list(weights)
        if not models or len(weights) != len(models) or not all(each > 0 for each in weights):
            raise ModelError(
                f"an ensemble needs one weight above 0 for each model; got {len(models)} models "
                f"and the weights {weights}"
            )
        total = math.fsum(weights)
        self.weights = tuple(weight / total for weight in weights)
        self.metadata = _common_metadata([model.metadata for model in models], self.weights)

    @property
    def provider(self) -> str:
        """Library, device and precision of each model."""
        return "; ".join(model.provider for model in self.models)

    def predict_uint8(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """As ``Model.predict_uint8``; each image is read once."""
        copies = tee(images, len(self.models))
        results = (
            model.predict_uint8(copy) for model, copy in zip(self.models, copies, strict=True)
        )
        for probs in zip(*results, strict=True):
            mean: NDArray[Any] = sum(
                np.float32(weight) * prob for weight, prob in zip(self.weights, probs, strict=True)
            )
            yield np.rint(mean).astype(np.uint8)


def _common_metadata(each: Sequence[Metadata], weights: Sequence[float]) -> Metadata:
    first = each[0]
    for other in each[1:]:
        for key in _EQUAL_IN_ENSEMBLE:
            if getattr(other, key) != getattr(first, key):
                raise ModelError(
                    f"models of an ensemble have the same {key}; {first.name!r} has "
                    f"{getattr(first, key)}, {other.name!r} has {getattr(other, key)}"
                )
    thresholds = (metadata.threshold for metadata in each)
    return first.model_copy(
        update={
            "name": "+".join(metadata.name for metadata in each),
            "tile_px": max(metadata.tile_px for metadata in each),
            "margin_px": max(metadata.margin_px for metadata in each),
            "threshold": math.fsum(w * t for w, t in zip(weights, thresholds, strict=True)),
        }
    )
