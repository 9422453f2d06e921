"""From a scene to a map, end to end. Read this file first: every room of the house is in it.

    scene (file) -> tiles -> probability -> skeleton -> RoadGraph -> GeoPackage
                                         -> outlines or regions -> polygons ->

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

from pyproj import CRS

from terralink import inference, vectorize
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.map_kind import MapKind, class_bands, kind_of
from terralink.outputs import check_not_inputs
from terralink.pipeline import jobs
from terralink.raster import Area, NoData, Raster, Scene, Stretch, open_scene

Progress = Callable[[float], None]


def roads(
    path: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | inference.Predictor = "roads",
    out: str | os.PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    crs: CRS | str | None = None,
    bands: Sequence[int | str] | None = None,
    stretch: Stretch | None = None,
    no_data: Sequence[float] | NoData | None = None,
    threshold: float | None = None,
    min_spur_m: float = 15.0,
    max_gap_m: float = 30.0,
    tta: bool = False,
    area: Area | None = None,
    mask_corrupt_blocks: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> RoadGraph:
    """The roads of the scene at ``path`` as a graph in metres; see ``make_map``."""
    found = make_map(
        path,
        what=MapKind.ROADS,
        model=model,
        out=out,
        pixel_size_m=pixel_size_m,
        crs=crs,
        bands=bands,
        stretch=stretch,
        no_data=no_data,
        threshold=threshold,
        min_spur_m=min_spur_m,
        max_gap_m=max_gap_m,
        tta=tta,
        area=area,
        mask_corrupt_blocks=mask_corrupt_blocks,
        job=job,
        progress=progress,
    )
    assert isinstance(found, RoadGraph)
    return found


def make_map(
    path: str | os.PathLike[str],
    *,
    what: MapKind | None = None,
    model: str | os.PathLike[str] | inference.Predictor = "roads",
    out: str | os.PathLike[str] | None = None,
    pixel_size_m: float | None = None,
    crs: CRS | str | None = None,
    bands: Sequence[int | str] | None = None,
    stretch: Stretch | None = None,
    no_data: Sequence[float] | NoData | None = None,
    threshold: float | None = None,
    min_probability: float | None = None,
    min_spur_m: float = 15.0,
    max_gap_m: float = 30.0,
    tta: bool = False,
    area: Area | None = None,
    mask_corrupt_blocks: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> vectorize.Map:
    """The map of the scene at ``path``: a ``RoadGraph``, or a GeoDataFrame of polygons.

    ``what`` is the kind of map; None is the one that the model's classes make (``map_kind``).
    ``out`` names a GeoPackage to write; the probability lies beside it as ``.prob.tif``.
    Where the scene has no CRS, ``crs`` names the one of its transform, or ``pixel_size_m`` says how
    large a pixel is; without them it is worked on in its own pixels. ``no_data`` are levels that
    mean no data though no tag says so; None looks for them, see ``open_scene``. ``threshold``
    is the model's when it is None. Only what is inside ``area`` is looked at; with
    ``mask_corrupt_blocks`` a block that cannot be read is masked. ``job`` names a folder that keeps
    what is done: killed and started
    again, the work goes on there (``jobs``). ``progress`` is called with the part that is done, 0
    to 1. ``min_spur_m`` and ``max_gap_m`` are of roads, ``min_probability`` of land cover.

    Raises ``InputError`` when the model does not see what is wanted, before anything is computed,
    and ``SceneError`` when the scene cannot be read or does not fit the model.
    """
    if job is not None and out is None:
        raise InputError("a job keeps what becomes a file: say which with out")
    if out is not None:
        check_not_inputs([out, prob_path(out)], [path])
    ready = inference.load(model) if isinstance(model, str | os.PathLike) else model
    kind = map_kind(ready, what)
    how = vectorize.MapOptions(
        threshold=ready.metadata.threshold if threshold is None else threshold,
        min_spur_m=min_spur_m,
        max_gap_m=max_gap_m,
        min_probability=min_probability,
    )
    tracer = vectorize.MapTracer(kind, ready.metadata.classes, how)
    mapped = partial(_mapped, model=ready, tracer=tracer, out=out, progress=progress)
    with open_scene(
        path,
        bands=bands,
        stretch=stretch,
        no_data=no_data,
        assumed_pixel_size_m=pixel_size_m,
        assumed_crs=crs,
        area=area,
        mask_corrupt_blocks=mask_corrupt_blocks,
    ) as opened:
        if job is None or out is None:
            scene = inference.fitted(ready, opened)
            parts = inference.bands if out is None else inference.blocks
            return mapped(parts(ready, scene, tta=tta), scene)
        settings = _settings(kind, threshold, min_spur_m, max_gap_m, min_probability)
        work = jobs.opened(job, ready, opened, tta=tta, settings=settings)
        results = [out, prob_path(out)]
        with jobs.alone(work, results):
            if work.finished(results):
                return vectorize.read_map(out, kind)
            found = mapped(work.bands(), work.scene)
            work.finish(results)
            return found


def map_kind(model: inference.Predictor, what: MapKind | None = None) -> MapKind:
    """The kind of map that is wanted of the model, or the one that its classes make.

    Raises ``InputError`` where they do not show what is wanted.
    """
    classes = model.metadata.classes
    kind = kind_of(classes) if what is None else what
    class_bands(kind, classes, source=f"model {model.metadata.name!r}")
    return kind


@contextmanager
def kept(
    path: str | os.PathLike[str],
    *,
    model: inference.Predictor,
    job: str | os.PathLike[str],
    what: MapKind | None = None,
    pixel_size_m: float | None = None,
    crs: CRS | str | None = None,
    bands: Sequence[int | str] | None = None,
    stretch: Stretch | None = None,
    no_data: Sequence[float] | NoData | None = None,
    threshold: float | None = None,
    min_probability: float | None = None,
    min_spur_m: float = 15.0,
    max_gap_m: float = 30.0,
    tta: bool = False,
    area: Area | None = None,
    mask_corrupt_blocks: bool = False,
) -> Iterator[jobs.Job]:
    """The job in the folder ``job`` that ``make_map`` with these options finishes.

    Its bands can be made apart, by other processes or machines. Raises ``InputError`` when the
    folder is the job of something else.
    """
    kind = map_kind(model, what)
    settings = _settings(kind, threshold, min_spur_m, max_gap_m, min_probability)
    with open_scene(
        path,
        bands=bands,
        stretch=stretch,
        no_data=no_data,
        assumed_pixel_size_m=pixel_size_m,
        assumed_crs=crs,
        area=area,
        mask_corrupt_blocks=mask_corrupt_blocks,
    ) as scene:
        yield jobs.opened(job, model, scene, tta=tta, settings=settings)


def prob_path(out: str | os.PathLike[str]) -> Path:
    """Where the probability lies: beside the map, as ``.prob.tif``."""
    return Path(out).with_suffix(".prob.tif")


def _settings(
    kind: MapKind,
    threshold: float | None,
    min_spur_m: float,
    max_gap_m: float,
    min_probability: float | None,
) -> dict[str, str | float | None]:
    """What the map depends on, besides the probability; jobs of roads are named as ever."""
    settings: dict[str, str | float | None] = {
        "threshold": threshold,
        "min_spur_m": min_spur_m,
        "max_gap_m": max_gap_m,
    }
    if kind is not MapKind.ROADS:
        settings["what"] = kind.value
    if min_probability is not None:
        settings["min_probability"] = min_probability
    return settings


def _give_back() -> None:
    """Hand freed memory back to the system: cleaning, which comes next, wants much of its own.

    glibc keeps it for the threads that read, computed and wrote, which are gone.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _mapped(
    parts: Iterable[Raster],
    scene: Scene,
    *,
    model: inference.Predictor,
    tracer: vectorize.MapTracer,
    out: str | os.PathLike[str] | None,
    progress: Progress,
) -> vectorize.Map:
    """Parts to the probability file, and from there to the tracer; then the map to its file.

    Without a file they are bands. Another thread writes and reads: GDAL copies the whole file in
    the end while the map is made here.
    """
    done_px = 0

    def take(some: Iterable[Raster]) -> None:
        nonlocal done_px
        for rows in some:
            tracer.add(rows)
            done_px += math.prod(rows.grid.shape)
            progress(done_px / math.prod(scene.grid.shape))
            del rows  # they are large, and would wait here for the next

    if out is None:
        take(inference.warn_if_empty(parts, scene))
        return tracer.finish()
    with closing(
        inference.ahead(inference.strips(prob_path(out), model, scene, parts), 1)
    ) as coming:
        take(islice(coming, inference.strip_count(model, scene)))
        _give_back()
        found = tracer.finish()
        deque(coming, maxlen=0)
    vectorize.write_map(out, found, tracer.kind)
    return found
