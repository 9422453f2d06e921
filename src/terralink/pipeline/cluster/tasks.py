"""The map of one scene as a task, and its steps: each step runs on one worker.

A step opens the scene and its job, does its part, and leaves the result in the job. What is sent
between machines is small: names, options, numbers of bands, warnings.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from terralink import inference
from terralink.errors import SceneWarning, TerralinkError
from terralink.pipeline import extract, jobs
from terralink.raster import SceneOptions
from terralink.vectorize import MapOptions

Span: TypeAlias = tuple[int, int]
WarningLine: TypeAlias = tuple[type[Warning], str]

# The row of tiles above a step's first band is computed for blending alone: 16 bands make it cheap.
BANDS_PER_STEP = 16


class ModelSource(Protocol):
    """Where a worker gets the model from: a value that can be sent and compared."""

    def load(self) -> inference.Predictor: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class ModelSpec:
    """Models by name, or by a path that all machines see; each process loads them once.

    providers  what computes each of ``names``; (): each machine's best
    weights    of an ensemble
    threads    CPU cores that each worker uses; None: all
    """

    names: tuple[str, ...]
    providers: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    threads: int | None = None

    @classmethod
    def of(cls, model: inference.Predictor, *, threads: int | None = None) -> "ModelSpec":
        """The names and paths of a model that is loaded here."""
        if isinstance(model, inference.Ensemble):
            return replace(cls._of(model.models, threads), weights=model.weights)
        assert isinstance(model, inference.Model)
        return cls._of([model], threads)

    @classmethod
    def _of(cls, models: Sequence[inference.Model], threads: int | None) -> "ModelSpec":
        names = tuple(_name(model) for model in models)
        return cls(names, tuple(model.provider_name for model in models), threads=threads)

    def load(self) -> inference.Predictor:
        providers = self.providers or (None,) * len(self.names)
        models = [
            inference.load_model(name, provider=provider, threads=self.threads)
            for name, provider in zip(self.names, providers, strict=True)
        ]
        return models[0] if self.weights is None else inference.Ensemble(models, self.weights)


@dataclass(frozen=True, eq=False)
class SceneTask:
    """A map to make: paths that all machines see, and the arguments of ``extract.extract_map``."""

    scene: Path
    out: Path
    job: Path
    model: ModelSource
    scene_options: SceneOptions = SceneOptions()
    options: MapOptions | None = None
    tta: bool = False

    def open_job(self) -> AbstractContextManager[jobs.Job]:
        return extract.open_map_job(
            self.job,
            self.scene,
            _load(self.model),
            scene_options=self.scene_options,
            options=self.options,
            tta=self.tta,
        )


class Plan(NamedTuple):
    """What the first step of a task finds.

    scene_options  the task's, with the stretch and the no-data values that were measured
    spans          bands to compute: (first, stop) of each step
    warnings       about the scene
    """

    scene_options: SceneOptions
    spans: list[Span]
    warnings: list[WarningLine]


def plan(task: SceneTask) -> Plan:
    """Measure the scene, once for all steps, and divide what is missing into steps."""
    with _recorded_warnings() as recorded, task.open_job() as job:
        measured = replace(task.scene_options, stretch=job.scene.stretch, no_data=job.scene.no_data)
        is_finished = job.is_finished([task.out, extract.prob_path(task.out)])
        missing = [] if is_finished else list(spans(job, range(job.count), most=BANDS_PER_STEP))
    return Plan(measured, missing, _lines(recorded))


def compute(task: SceneTask, first: int, stop: int) -> None:
    """Compute what is missing of a span; a worker that died may have computed a part of it."""
    with _recorded_warnings(), task.open_job() as job:
        for span in spans(job, range(first, stop), most=stop - first):
            deque(job.compute(*span), maxlen=0)


def merge(task: SceneTask) -> list[WarningLine]:
    """Make the map of the bands; return the warnings about the scene."""
    with _recorded_warnings() as recorded:
        extract.extract_map(
            task.scene,
            _load(task.model),
            out=task.out,
            scene_options=task.scene_options,
            options=task.options,
            tta=task.tta,
            job=task.job,
        )
    return _lines(recorded)


def spans(job: jobs.Job, numbers: Sequence[int], *, most: int) -> Iterator[Span]:
    """Runs of bands that are missing, each of ``most`` bands at most."""
    for is_done, run in groupby(numbers, job.is_done):
        bands = list(run)
        if not is_done:
            yield from divide_evenly(bands[0], bands[-1] + 1, most=most)


def divide_evenly(first: int, stop: int, *, most: int) -> Iterator[Span]:
    """A span in parts of ``most`` bands at most, as equal as possible, the first the longest.

    >>> list(divide_evenly(0, 13, most=8))
    [(0, 7), (7, 13)]
    """
    bands = stop - first
    count = -(-bands // most)
    return pairwise(first - (-bands * part // count) for part in range(count + 1))


def call_or_return_error(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of the work, or a user's error without its cause: GDAL's cannot be sent."""
    try:
        return work(*arguments)
    except TerralinkError as error:
        return type(error)(str(error))


def _lines(recorded: list[warnings.WarningMessage]) -> list[WarningLine]:
    return [(warning.category, str(warning.message)) for warning in recorded]


@contextmanager
def _recorded_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of the block, which would be lost in the worker's log."""
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always", SceneWarning)
        yield recorded


@cache
def _load(model: ModelSource) -> inference.Predictor:
    return model.load()


def _name(model: inference.Model) -> str:
    """A bundled model's name, because it may be installed elsewhere on another machine."""
    bundled = {path: name for name, path in inference.list_models().items()}
    return bundled.get(model.path) or os.fspath(model.path.resolve())
