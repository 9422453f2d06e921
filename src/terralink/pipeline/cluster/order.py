"""An order for a map, and the steps to it: each is work for one task, of which names are sent.

A step opens the scene and its job, does its part, and leaves what it made in the job.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from terralink import inference
from terralink.errors import SceneWarning, TerralinkError
from terralink.pipeline import extract, jobs

Span: TypeAlias = tuple[int, int]
Warned: TypeAlias = tuple[type[Warning], str]
# Of a scene: its stretch and what of it is no data, as options of ``extract.kept``.
Measured: TypeAlias = Mapping[str, Any]

# Of a task's rows of tiles, the one above the first band is computed for its blending alone.
BANDS_A_TASK = 16


class Loadable(Protocol):
    """How a worker comes by the model: a value that can be sent and compared."""

    def loaded(self) -> inference.Predictor: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Files:
    """Models by name, or by a path that all machines see; each process loads them once.

    Each is computed by the provider of the same place in ``chosen``; by none, each machine's best.
    """

    names: tuple[str, ...]
    chosen: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    threads: int | None = None

    @classmethod
    def of(cls, model: inference.Predictor, *, threads: int | None = None) -> "Files":
        """The files of a model that is loaded here."""
        if isinstance(model, inference.Ensemble):
            return replace(cls._of(model.models, threads), weights=model.weights)
        assert isinstance(model, inference.Model)
        return cls._of([model], threads)

    @classmethod
    def _of(cls, models: Sequence[inference.Model], threads: int | None) -> "Files":
        names = tuple(_name(model) for model in models)
        return cls(names, tuple(model.chosen_as for model in models), threads=threads)

    def loaded(self) -> inference.Predictor:
        chosen = self.chosen or (None,) * len(self.names)
        models = [
            inference.load(name, provider=provider, threads=self.threads)
            for name, provider in zip(self.names, chosen, strict=True)
        ]
        return models[0] if self.weights is None else inference.Ensemble(models, self.weights)


@dataclass(frozen=True, eq=False)
class Order:
    """A map to be made: paths that all machines see, and the ``options`` of ``extract.kept``."""

    scene: Path
    out: Path
    job: Path
    model: Loadable
    options: Mapping[str, Any] = field(default_factory=dict)

    def kept(self) -> Any:
        return extract.kept(self.scene, model=_loaded(self.model), job=self.job, **self.options)

    def looked_at(self, measured: Measured) -> "Order":
        """The order with what was measured of its scene, so that it is measured once."""
        return replace(self, options={**self.options, **measured})


def looked(order: Order) -> tuple[Measured, list[Span], list[Warned]]:
    """What is measured of the scene, what of it is to be made, in spans of bands, and warnings."""
    with _heard() as heard, order.kept() as job:
        measured = {"stretch": job.scene.stretch, "no_data": job.scene.no_data}
        done = job.finished([order.out, extract.prob_path(order.out)])
        left = [] if done else list(spans(job, range(job.count), most=BANDS_A_TASK))
    return measured, left, _lines(heard)


def made(order: Order, first: int, stop: int) -> None:
    """Make what is missing of a span; a worker that died before may have made a part."""
    with _heard(), order.kept() as job:
        for span in spans(job, range(first, stop), most=stop - first):
            deque(job.made(*span), maxlen=0)


def merged(order: Order) -> list[Warned]:
    """Make the map; what is to be said of the scene."""
    with _heard() as heard:
        extract.make_map(
            order.scene, model=_loaded(order.model), out=order.out, job=order.job, **order.options
        )
    return _lines(heard)


def _lines(heard: list[warnings.WarningMessage]) -> list[Warned]:
    return [(warning.category, str(warning.message)) for warning in heard]


@contextmanager
def _heard() -> Iterator[list[warnings.WarningMessage]]:
    """What is warned of in the block; it would be lost in the worker's log."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", SceneWarning)
        yield heard


def spans(job: jobs.Job, numbers: Sequence[int], *, most: int) -> Iterator[Span]:
    """Runs of bands that are not there, each of ``most`` bands at most."""
    for there, run in groupby(numbers, job.has):
        each = list(run)
        if not there:
            yield from even(each[0], each[-1] + 1, most=most)


def even(first: int, stop: int, *, most: int) -> Iterator[Span]:
    """A span in parts of ``most`` bands at most, as even as can be, the first as long as any.

    >>> list(even(0, 13, most=8))
    [(0, 7), (7, 13)]
    """
    bands = stop - first
    count = -(-bands // most)
    return pairwise(first - (-bands * part // count) for part in range(count + 1))


def told(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work gives; what the user can mend is told, for GDAL's causes cannot be sent."""
    try:
        return work(*arguments)
    except TerralinkError as error:
        return type(error)(str(error))


@cache
def _loaded(model: Loadable) -> inference.Predictor:
    return model.loaded()


def _name(model: inference.Model) -> str:
    """A shipped model's name, for it may be installed elsewhere on another machine."""
    shipped = {path: name for name, path in inference.shipped().items()}
    return shipped.get(model.path) or os.fspath(model.path.resolve())
