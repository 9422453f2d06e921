"""Which step is given out when, and what becomes of it when its worker dies."""

import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from terralink.errors import TerralinkError
from terralink.pipeline.cluster import order as work
from terralink.pipeline.cluster.order import Order

if TYPE_CHECKING:
    from distributed import Client, Future

# A task is given out anew so often, each time after Dask has lost several workers with it.
_ATTEMPTS = 5


def extracted(orders: Iterable[Order], client: "Client") -> Iterator[Order]:
    """Make the maps; each order is given back when its map is whole.

    Raises what a task raises, and ``TerralinkError`` when a task takes every worker down with it.
    """
    from distributed import wait

    fresh = (Step(order, work.looked) for order in orders)
    ready: deque[Step] = deque()
    left: Counter[Order] = Counter()
    running: dict[Future[Any], Step] = {}
    try:
        while _fill(running, ready, fresh, left, client):
            for future in wait(list(running), return_when="FIRST_COMPLETED").done:
                step = running.pop(future)
                if future.status != "finished":
                    ready.appendleft(step.again(future))
                    continue
                result = future.result()
                if isinstance(result, TerralinkError):
                    raise result
                _warn(step, result)
                if step.does is work.merged:
                    yield step.order
                ready.extendleft(_next(step, result, left))
    finally:
        client.cancel(list(running))


@dataclass(frozen=True)
class Step:
    """A part of an order that one task does; ``is_share`` when it is divided already."""

    order: Order
    does: Callable[..., Any]
    span: tuple[int, ...] = ()
    measured: work.Measured | None = None
    is_share: bool = False
    attempt: int = 1

    @property
    def bands(self) -> int:
        """How many it makes."""
        return self.span[1] - self.span[0] if self.span else 0

    def out(self, client: "Client") -> "Future[Any]":
        order = self.order if self.measured is None else self.order.looked_at(self.measured)
        return client.submit(work.told, self.does, order, *self.span, pure=False)

    def again(self, future: "Future[Any]") -> "Step":
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
    running: "dict[Future[Any], Step]",
    ready: deque[Step],
    fresh: Iterator[Step],
    left: Counter[Order],
    client: "Client",
) -> bool:
    """Give out steps, those of scenes that are begun first; whether any are out."""
    workers = max(1, len(client.nthreads()))
    # one more than can be given out, so that it is known whether scenes are left to begin
    ready.extend(islice(fresh, max(0, workers + 1 - len(running) - len(ready))))
    if len(running) + len(ready) <= workers:
        divide(ready, running.values(), workers, left)
    while ready and len(running) < workers:
        step = ready.popleft()
        running[step.out(client)] = step
    return bool(running)


def divide(ready: deque[Step], running: Iterable[Step], workers: int, left: Counter[Order]) -> None:
    """Divide steps so that each worker gets its share of all bands that are not given out."""
    looks = sum(step.does is work.looked for step in (*ready, *running))
    bands = sum(step.bands for step in ready) + looks * work.BANDS_A_TASK
    share = -(-bands // workers)
    for step in [step for step in ready if step.bands > share and not step.is_share]:
        parts = [
            replace(step, span=span, is_share=True) for span in work.even(*step.span, most=share)
        ]
        ready.remove(step)
        ready.extendleft(reversed(parts))
        left[step.order] += len(parts) - 1


def _warn(step: Step, result: Any) -> None:
    """Tell what was heard of a scene when it was looked at and when its map was made."""
    lines = result[2] if step.does is work.looked else result
    for category, line in lines if step.does is not work.made else ():
        warnings.warn(line, category, stacklevel=3)


def _next(step: Step, result: Any, left: Counter[Order]) -> list[Step]:
    """The steps that can be done now that this one is."""
    order, measured = step.order, step.measured
    if step.does is work.merged:
        return []
    if step.does is work.looked:
        measured, spans, _ = result
        left[order] = len(spans)
        if spans:
            return [Step(order, work.made, span, measured) for span in reversed(spans)]
    else:
        left[order] -= 1
    if left[order]:
        return []
    del left[order]
    return [Step(order, work.merged, measured=measured)]
