"""Many machines: scenes as small tasks on a Dask cluster, each of which can be lost.

    a scene:  look what is missing ─┬─ make 8 bands ─┬─ merge them to its map
                                    ├─ make 8 bands ─┤
                                    └─ ...           ┘

All that a task makes goes into the scene's job (``jobs``) on storage that every machine sees; what
goes over the wire is names. So a task that is lost, or done twice, costs time and nothing else.
Only a few tasks for each worker are out at a time, whatever the number of scenes. Needs the extra
``cluster``.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from terralink import extract, jobs, predict
from terralink.errors import InputError, TerralinkError

if TYPE_CHECKING:
    from distributed import Client, Future

Span: TypeAlias = tuple[int, int]

# Of a task's rows of tiles, the one above the first band is computed for its blending alone.
_BANDS_A_TASK = 8
_TASKS_PER_WORKER = 2  # one that runs, one that waits
# A task is given out anew so often, each time after Dask has lost several workers with it.
_ATTEMPTS = 5


class Loadable(Protocol):
    """How a worker comes by the model: a value that can be sent and compared."""

    def loaded(self) -> predict.Predictor: ...

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Files:
    """Model files by name, or by a path that all machines see; each process loads them once."""

    names: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    threads: int | None = None

    @classmethod
    def of(cls, model: predict.Predictor, *, threads: int | None = None) -> "Files":
        """The files of a model that is loaded here."""
        if isinstance(model, predict.Ensemble):
            return cls(tuple(_name(each) for each in model.models), model.weights, threads)
        assert isinstance(model, predict.Model)
        return cls((_name(model),), threads=threads)

    def loaded(self) -> predict.Predictor:
        models = [predict.load(name, threads=self.threads) for name in self.names]
        return models[0] if self.weights is None else predict.Ensemble(models, self.weights)


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


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """A client of the cluster at ``tcp://...``, or of one of ``local:N`` processes made for it.

    Raises ``InputError`` when there is no such cluster.
    """
    count = local_count(address) if address.startswith("local:") else None
    from distributed import Client, LocalCluster

    if count is not None:
        with (
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"no cluster answers at {address!r}: {error}; give tcp://HOST:8786 of a Dask "
            "scheduler, or local:N for N processes here"
        ) from error
    with client:
        yield client


def local_count(address: str) -> int:
    """
    >>> local_count("local:2")
    2
    """
    count = address.removeprefix("local:")
    if not count.isdecimal() or int(count) < 1:
        raise InputError(f"local:N with N from 1, such as local:2, was wanted; {address!r} came")
    return int(count)


def threads_at(address: str) -> int | None:
    """How many cores each worker takes: its share of this machine, or all of its own (None)."""
    if not address.startswith("local:"):
        return None
    return max(1, (os.cpu_count() or 1) // local_count(address))


def extracted(orders: Iterable[Order], client: "Client") -> Iterator[Order]:
    """Make the maps; each order is given back when its map is whole.

    Raises what a task raises, and ``TerralinkError`` when a task takes every worker down with it.
    """
    from distributed import wait

    fresh = (_Step(order, _missing) for order in orders)
    ready: deque[_Step] = deque()
    left: Counter[Order] = Counter()
    running: dict[Future[Any], _Step] = {}
    try:
        while _fill(running, ready, fresh, client):
            for future in wait(list(running), return_when="FIRST_COMPLETED").done:
                step = running.pop(future)
                if future.status != "finished":
                    ready.appendleft(step.again(future))
                    continue
                result = future.result()
                if isinstance(result, TerralinkError):
                    raise result
                if step.work is _merged:
                    yield step.order
                ready.extendleft(_next(step, result, left))
    finally:
        client.cancel(list(running))


@dataclass(frozen=True)
class _Step:
    order: Order
    work: Callable[..., Any]
    span: tuple[int, ...] = ()
    attempt: int = 1

    def again(self, future: "Future[Any]") -> "_Step":
        """The step once more, where it was not its own fault that it failed."""
        from distributed import KilledWorker

        error = future.exception() if future.status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        if self.attempt == _ATTEMPTS:
            raise TerralinkError(
                f"{self.order.scene}: the workers die of it; do they have the memory? "
                "Started again, the work goes on where it was"
            )
        return replace(self, attempt=self.attempt + 1)


def _fill(
    running: "dict[Future[Any], _Step]",
    ready: deque[_Step],
    fresh: Iterator[_Step],
    client: "Client",
) -> bool:
    """Give out steps, those of scenes that are begun first; whether any are out."""
    bound = _TASKS_PER_WORKER * max(1, len(client.nthreads()))
    while len(running) < bound:
        step = ready.popleft() if ready else next(fresh, None)
        if step is None:
            break
        running[client.submit(_told, step.work, step.order, *step.span, pure=False)] = step
    return bool(running)


def _next(step: _Step, result: Any, left: Counter[Order]) -> list[_Step]:
    """The steps that can be done now that this one is."""
    if step.work is _merged:
        return []
    if step.work is _missing:
        left[step.order] = len(result)
    else:
        left[step.order] -= 1
    if left[step.order] == 0:
        del left[step.order]
        return [_Step(step.order, _merged)]
    if step.work is _missing:
        return [_Step(step.order, _made, span) for span in reversed(result)]
    return []


def _told(work: Callable[..., Any], *arguments: Any) -> Any:
    """What the work gives; what the user can mend is told, for GDAL's causes cannot be sent."""
    try:
        return work(*arguments)
    except TerralinkError as error:
        return type(error)(str(error))


def _missing(order: Order) -> list[Span]:
    """What is to be made, in spans of bands."""
    with order.kept() as job:
        if job.finished([order.out, extract.prob_path(order.out)]):
            return []
        return list(_spans(job, range(job.count), most=_BANDS_A_TASK))


def _made(order: Order, first: int, stop: int) -> None:
    """Make what is missing of a span; a worker that died before may have made a part."""
    with order.kept() as job:
        for span in _spans(job, range(first, stop), most=stop - first):
            deque(job.made(*span), maxlen=0)


def _merged(order: Order) -> None:
    extract.roads(
        order.scene, model=_loaded(order.model), out=order.out, job=order.job, **order.options
    )


def _spans(job: jobs.Job, numbers: Sequence[int], *, most: int) -> Iterator[Span]:
    """Runs of bands that are not there, each of ``most`` bands at most."""
    for there, run in groupby(numbers, job.has):
        each = list(run)
        if not there:
            for start in range(0, len(each), most):
                part = each[start : start + most]
                yield part[0], part[-1] + 1


@cache
def _loaded(model: Loadable) -> predict.Predictor:
    return model.loaded()


def _name(model: predict.Model) -> str:
    """A shipped model's name, for it may be installed elsewhere on another machine."""
    shipped = {path: name for name, path in predict.shipped().items()}
    return shipped.get(model.path) or os.fspath(model.path.resolve())
