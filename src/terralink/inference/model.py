"""A model that lies on disk, ready to predict: raw levels in, probabilities out.

What computes it is its provider: ``terralink.inference.backends`` has two for model files, and one
for the folder of a run.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from terralink.model_card import Metadata


class Predictor(Protocol):
    """What the engine asks of a model: a card, and levels of images; see ``Model``."""

    metadata: Metadata

    @property
    def provider(self) -> str: ...

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]: ...


class Model(ABC):
    """A file or folder that all of a model lies in, and whoever computes it.

    chosen_as   the name under which ``load`` takes the provider
    """

    chosen_as: ClassVar[str]

    def __init__(self, path: Path, metadata: Metadata):
        self.path = path
        self.metadata = metadata

    @property
    def files(self) -> tuple[Path, ...]:
        """What must be the same for the answers to be the same."""
        return (self.path,)

    @property
    @abstractmethod
    def provider(self) -> str:
        """Who computes, on what, and in what precision, which is the last word."""

    def levels(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        """Levels round(255 p), uint8 (classes, side, side), of images (bands, side, side).

        They come in order. All images are of one side, a multiple of 32. Some are computed while
        the next are fetched and the last are used: as many as the machine can use, and as many
        again wait.
        """
        return self._results(images, as_levels=True)

    def stream(self, images: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """The same as ``levels``, but probabilities as float32."""
        return self._results(images, as_levels=False)

    @abstractmethod
    def _results(
        self, images: Iterable[NDArray[np.uint8]], *, as_levels: bool
    ) -> Iterator[NDArray[Any]]: ...
