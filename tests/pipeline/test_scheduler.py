"""Which step goes to which worker when, in a time that is only counted: nothing is computed."""

import heapq
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralink import raster
from terralink.pipeline.cluster import scheduler, tasks
from terralink.pipeline.cluster.tasks import ModelSpec, Plan, SceneTask

# Seconds on one core, 12,000 px wide: a row of tiles, the merge of a band, a look at a scene.
HEAVY = (6.5, 1.1, 1.5)  # D-LinkNet34 in bf16, 0.5 s a tile
LIGHT = (1.65, 1.1, 1.5)  # the shipped model


@dataclass(eq=False)
class Done:
    """A future that is."""

    value: Any
    status: str = "finished"

    def result(self) -> Any:
        return self.value


@dataclass
class Pretended:
    """A Dask client whose workers take as long as a step is told to take."""

    workers: int
    seconds: tuple[float, float, float]
    bands: int
    now_s: float = 0
    made: list[tuple[Path, int]] = field(default_factory=list)
    _running: list[tuple[float, int, Done]] = field(default_factory=list)

    def nthreads(self) -> range:
        return range(self.workers)

    def cancel(self, futures: list[Any]) -> None:
        assert futures == []

    def submit(self, _call: Any, work: Any, task: SceneTask, *span: int, pure: bool) -> Done:
        assert not pure
        assert len(self._running) < self.workers  # a task that waits could not be divided any more
        row_s, merge_s, took_s = self.seconds
        left = list(tasks.divide_evenly(0, self.bands, most=tasks.BANDS_PER_STEP))
        value: Any = Plan(raster.SceneOptions(), left, [])
        if work is tasks.compute:
            first, stop = span
            self.made += [(task.scene, band) for band in range(first, stop)]
            value, took_s = None, row_s * (stop - first + (first > 0))
        elif work is tasks.merge:
            assert len({band for scene, band in self.made if scene == task.scene}) == self.bands
            value, took_s = [], merge_s * self.bands
        future = Done(value)
        heapq.heappush(self._running, (self.now_s + took_s, id(future), future))
        return future

    def wait(self, _futures: Iterable[Done], return_when: str) -> Any:
        assert return_when == "FIRST_COMPLETED"
        self.now_s, _, first = heapq.heappop(self._running)
        return SimpleNamespace(done=[first])


def took_s(workers: int, scenes: int, bands: int, seconds: tuple[float, float, float]) -> float:
    """How long that many workers take; each band is made once."""
    client = Pretended(workers, seconds, bands)
    dask: Any = ModuleType("distributed")
    dask.wait, dask.KilledWorker = client.wait, RuntimeError
    scene_tasks = [
        SceneTask(Path(f"{i}.tif"), Path(f"{i}.gpkg"), Path(f"{i}"), ModelSpec(("roads",)))
        for i in range(scenes)
    ]
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "distributed", dask)
        assert set(scheduler.run_tasks(scene_tasks, client)) == set(scene_tasks)
    assert len(client.made) == len(set(client.made)) == scenes * bands
    return client.now_s


@pytest.mark.parametrize(
    ("workers", "scenes", "seconds", "wanted"),
    [
        (2, 2, HEAVY, 1.7),
        (2, 10, HEAVY, 1.9),
        (2, 10, LIGHT, 1.9),
        (8, 10, HEAVY, 6),
        (8, 40, LIGHT, 7.5),
    ],
)
def test_more_workers_are_as_many_times_as_fast(
    workers: int, scenes: int, seconds: tuple[float, float, float], wanted: float
) -> None:
    alone_s = took_s(1, scenes, 13, seconds)
    assert wanted < alone_s / took_s(workers, scenes, 13, seconds) <= workers


@given(workers=st.integers(1, 9), scenes=st.integers(0, 12), bands=st.integers(1, 40))
def test_each_band_is_made_once_before_the_merge(workers: int, scenes: int, bands: int) -> None:
    took_s(workers, scenes, bands, LIGHT)


@given(bands=st.integers(1, 60), most=st.integers(1, 20))
def test_a_span_is_divided_evenly(bands: int, most: int) -> None:
    spans = list(tasks.divide_evenly(5, 5 + bands, most=most))
    assert [band for span in spans for band in range(*span)] == list(range(5, 5 + bands))
    lengths = [stop - first for first, stop in spans]
    assert max(lengths) <= most
    assert max(lengths) - min(lengths) <= 1
    assert lengths[0] == max(lengths)  # it needs no row above
