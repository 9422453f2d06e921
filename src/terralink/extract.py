"""From a scene to a map, end to end. Read this file first: every room of the house is in it.

    scene (file) -> tiles -> probability -> skeleton -> RoadGraph -> GeoPackage

Blocks of probability go to their file as they come, and from there in whole rows to the tracer.
"""

import ctypes
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from terralink import geo, jobs, predict, vectorize
from terralink.errors import InputError
from terralink.graph import RoadGraph

Progress = Callable[[float], None]


def roads(
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | predict.Predictor = "roads",
    out: str | os.PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    bands: Sequence[int | str] | None = None,
    stretch: geo.Stretch | None = None,
    threshold: float | None = None,
    min_spur_m: float = 15.0,
    max_gap_m: float = 30.0,
    tta: bool = False,
    area: geo.Area | None = None,
    mask_damage: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> RoadGraph:
    """The roads of the scene at ``path`` as a graph in metres.

    ``out`` names a GeoPackage to write; the probability lies beside it as ``.prob.tif``.
    ``pixel_size_m`` says how large a pixel is where the scene has no CRS; without it such a scene
    is worked on in its own pixels. ``threshold`` is the model's when it is None. Only what is
    inside ``area`` is looked at; ``mask_damage`` goes on past what cannot be read, see
    ``geo.open_scene``. ``job`` names a folder that keeps what is done: killed and started again,
    the work goes on there (``jobs``). ``progress`` is called with the part that is done, 0 to 1.

    Raises ``SceneError`` when the scene cannot be read or does not fit the model.
    """
    if job is not None and out is None:
        raise InputError("a job keeps what becomes a file: say which with out")
    ready = predict.load(model) if isinstance(model, str | os.PathLike) else model
    tracer = vectorize.RoadTracer(
        threshold=ready.metadata.threshold if threshold is None else threshold,
        min_spur_m=min_spur_m,
        max_gap_m=max_gap_m,
    )
    mapped = partial(_mapped, model=ready, tracer=tracer, out=out, progress=progress)
    with geo.open_scene(
        path,
        bands=bands,
        stretch=stretch,
        assumed_pixel_size_m=pixel_size_m,
        area=area,
        mask_damage=mask_damage,
    ) as opened:
        if job is None or out is None:
            scene = predict.fitted(ready, opened)
            parts = predict.bands if out is None else predict.blocks
            return mapped(parts(ready, scene, tta=tta), scene)
        settings = _settings(threshold, min_spur_m, max_gap_m)
        work = jobs.opened(job, ready, opened, tta=tta, settings=settings)
        results = [out, prob_path(out)]
        with jobs.alone(work, results):
            if work.finished(results):
                return RoadGraph.from_file(out)
            graph = mapped(work.bands(), work.scene)
            work.finish(results)
            return graph


@contextmanager
def kept(
    path: str | os.PathLike[str],
    *,
    model: predict.Predictor,
    job: str | os.PathLike[str],
    pixel_size_m: float | None = None,
    bands: Sequence[int | str] | None = None,
    stretch: geo.Stretch | None = None,
    threshold: float | None = None,
    min_spur_m: float = 15.0,
    max_gap_m: float = 30.0,
    tta: bool = False,
    area: geo.Area | None = None,
    mask_damage: bool = False,
) -> Iterator[jobs.Job]:
    """The job in the folder ``job`` that ``roads`` with these options finishes.

    Its bands can be made apart, by other processes or machines. Raises ``InputError`` when the
    folder is the job of something else.
    """
    settings = _settings(threshold, min_spur_m, max_gap_m)
    with geo.open_scene(
        path,
        bands=bands,
        stretch=stretch,
        assumed_pixel_size_m=pixel_size_m,
        area=area,
        mask_damage=mask_damage,
    ) as scene:
        yield jobs.opened(job, model, scene, tta=tta, settings=settings)


def prob_path(out: str | os.PathLike[str]) -> Path:
    """Where the probability lies: beside the map, as ``.prob.tif``."""
    return Path(out).with_suffix(".prob.tif")


def _settings(
    threshold: float | None, min_spur_m: float, max_gap_m: float
) -> dict[str, float | None]:
    """What the map depends on, besides the probability."""
    return {"threshold": threshold, "min_spur_m": min_spur_m, "max_gap_m": max_gap_m}


def _give_back() -> None:
    """Hand freed memory back to the system: cleaning, which comes next, wants much of its own.

    glibc keeps it for the threads that read, computed and wrote, which are gone.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _mapped(
    parts: Iterable[geo.Raster],
    scene: geo.Scene,
    *,
    model: predict.Predictor,
    tracer: vectorize.RoadTracer,
    out: str | os.PathLike[str] | None,
    progress: Progress,
) -> RoadGraph:
    """Parts to the probability file, and from there to the tracer; then the graph to its file.

    Without a file they are bands. Another thread writes and reads: GDAL copies the whole file in
    the end while the graph is made here.
    """
    done_px = 0

    def take(some: Iterable[geo.Raster]) -> None:
        nonlocal done_px
        for rows in some:
            tracer.add(rows)
            done_px += math.prod(rows.grid.shape)
            progress(done_px / math.prod(scene.grid.shape))
            del rows  # they are large, and would wait here for the next

    if out is None:
        take(parts)
        return tracer.finish()
    with closing(predict.ahead(predict.strips(prob_path(out), model, scene, parts), 1)) as coming:
        take(islice(coming, predict.strip_count(model, scene)))
        _give_back()
        graph = tracer.finish()
        deque(coming, maxlen=0)
    graph.to_file(out)
    return graph
