"""The cluster, and which step runs when: its workers, the order of steps, lost workers.

A cluster is a Dask scheduler at an address, or processes that are started here.
"""

import logging
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from terralink.errors import InputError, TerralinkError
from terralink.pipeline.cluster import tasks
from terralink.pipeline.cluster.tasks import SceneTask
from terralink.raster import SceneOptions

if TYPE_CHECKING:
    from distributed import Client, Future

# A step is submitted this often, each time after Dask has lost several workers with it.
_ATTEMPTS = 5


@contextmanager
def connect(address: str) -> "Iterator[Client]":
    """A client of the cluster at ``tcp://...``, or of one of ``local:N`` processes made for it.

    Raises ``InputError`` when there is no such cluster.
    """
    count = local_count(address) if address.startswith("local:") else None
    import dask
    from distributed import Client, LocalCluster

    if count is not None:
        # A process that was killed is started again; on a busy machine that takes longer than
        # Dask's 15 seconds.
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # any port: another run may have the usual one
                preload="terralink.pipeline.cluster",  # imported before there is work
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
        raise InputError(f"local:N with N from 1 is needed, such as local:2; got {address!r}")
    return int(count)


def threads_per_worker(address: str) -> int | None:
    """CPU cores of each worker: its share of this machine, or all of its own (None)."""
    if not address.startswith("local:"):
        return None
    return max(1, (os.cpu_count() or 1) // local_count(address))


def run_tasks(scene_tasks: Iterable[SceneTask], client: "Client") -> Iterator[SceneTask]:
    """Make the maps; each task is yielded when its map is complete.

    Raises what a step raises, and ``TerralinkError`` when a step stops every worker it runs on.
    """
    from distributed import wait

    fresh = (Step(task, tasks.plan) for task in scene_tasks)
    ready: deque[Step] = deque()
    left: Counter[SceneTask] = Counter()
    running: dict[Future[Any], Step] = {}
    try:
        while _fill(running, ready, fresh, left, client):
            for future in wait(list(running), return_when="FIRST_COMPLETED").done:
                step = running.pop(future)
                if future.status != "finished":
                    ready.appendleft(step.retry(future))
                    continue
                result = future.result()
                if isinstance(result, TerralinkError):
                    raise result
                _warn(step, result)
                if step.work is tasks.merge:
                    yield step.task
                ready.extendleft(_next(step, result, left))
    finally:
        client.cancel(list(running))


@dataclass(frozen=True)
class Step:
    """A part of a task that runs on one worker; ``is_share`` when it is divided already."""

    task: SceneTask
    work: Callable[..., Any]
    span: tuple[int, ...] = ()
    scene_options: SceneOptions | None = None
    is_share: bool = False
    attempt: int = 1

    @property
    def bands(self) -> int:
        """How many it computes."""
        return self.span[1] - self.span[0] if self.span else 0

    def submit(self, client: "Client") -> "Future[Any]":
        task = self.task
        if self.scene_options is not None:
            task = replace(task, scene_options=self.scene_options)
        return client.submit(tasks.call_or_return_error, self.work, task, *self.span, pure=False)

    def retry(self, future: "Future[Any]") -> "Step":
        """The step once more, where it did not fail by itself."""
        from distributed import KilledWorker

        error = future.exception() if future.status == "error" else None
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        if self.attempt == _ATTEMPTS:
            raise TerralinkError(
                f"{self.task.scene}: its workers were killed {_ATTEMPTS} times, probably for lack "
                "of memory; started again, the work resumes where it was"
            )
        return replace(self, attempt=self.attempt + 1)


def _fill(
    running: "dict[Future[Any], Step]",
    ready: deque[Step],
    fresh: Iterator[Step],
    left: Counter[SceneTask],
    client: "Client",
) -> bool:
    """Submit steps, those of scenes that are begun first; whether any are running."""
    workers = max(1, len(client.nthreads()))
    # one more than can run, so that it is known whether scenes are left to begin
    ready.extend(islice(fresh, max(0, workers + 1 - len(running) - len(ready))))
    if len(running) + len(ready) <= workers:
        divide(ready, running.values(), workers, left)
    while ready and len(running) < workers:
        step = ready.popleft()
        running[step.submit(client)] = step
    return bool(running)


def divide(
    ready: deque[Step], running: Iterable[Step], workers: int, left: Counter[SceneTask]
) -> None:
    """Divide steps so that each worker gets its share of all bands that are not running."""
    plans = sum(step.work is tasks.plan for step in (*ready, *running))
    bands = sum(step.bands for step in ready) + plans * tasks.BANDS_PER_STEP
    share = -(-bands // workers)
    for step in [step for step in ready if step.bands > share and not step.is_share]:
        parts = [
            replace(step, span=span, is_share=True)
            for span in tasks.divide_evenly(*step.span, most=share)
        ]
        ready.remove(step)
        ready.extendleft(reversed(parts))
        left[step.task] += len(parts) - 1


def _warn(step: Step, result: Any) -> None:
    """Repeat here what the steps that plan and merge warned of."""
    if step.work is tasks.compute:
        return
    for category, line in result.warnings if step.work is tasks.plan else result:
        warnings.warn(line, category, stacklevel=3)


def _next(step: Step, result: Any, left: Counter[SceneTask]) -> list[Step]:
    """The steps that can run now that this one is done."""
    task, scene_options = step.task, step.scene_options
    if step.work is tasks.merge:
        return []
    if step.work is tasks.plan:
        scene_options = result.scene_options
        left[task] = len(result.spans)
        if result.spans:
            return [
                Step(task, tasks.compute, span, scene_options) for span in reversed(result.spans)
            ]
    else:
        left[task] -= 1
    if left[task]:
        return []
    del left[task]
    return [Step(task, tasks.merge, scene_options=scene_options)]
