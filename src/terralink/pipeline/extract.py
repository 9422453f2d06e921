"""From a scene to a map, end to end. Read this file first: it uses every package.

    scene (file) -> tiles -> probability -> skeleton -> RoadGraph -> GeoPackage
                                         -> outlines or regions -> polygons ->

Blocks of probability go to their file as they come, and from there in whole rows to the tracer.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terralink import inference, vectorize
from terralink.errors import InputError
from terralink.graph import RoadGraph
from terralink.map_kind import MapKind, class_bands, kind_of
from terralink.outputs import check_not_inputs
from terralink.pipeline import jobs
from terralink.raster import Raster, Scene, SceneOptions, open_scene

if TYPE_CHECKING:
    import geopandas as gpd

Progress = Callable[[float], None]


def extract_roads(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | inference.Predictor = "roads",
    *,
    out: str | os.PathLike[str] | None = None,
    scene_options: SceneOptions = SceneOptions(),
    options: vectorize.RoadOptions = vectorize.RoadOptions(),
    tta: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> RoadGraph:
    """Extract the roads of a scene as a graph in metres; see ``extract_map``."""
    graph = extract_map(
        path,
        model,
        out=out,
        scene_options=scene_options,
        options=options,
        tta=tta,
        job=job,
        progress=progress,
    )
    assert isinstance(graph, RoadGraph)
    return graph


def extract_buildings(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | inference.Predictor,
    *,
    out: str | os.PathLike[str] | None = None,
    scene_options: SceneOptions = SceneOptions(),
    options: vectorize.BuildingOptions = vectorize.BuildingOptions(),
    tta: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> "gpd.GeoDataFrame":
    """Extract the buildings of a scene as a table of polygons; see ``extract_map``."""
    return extract_map(
        path,
        model,
        out=out,
        scene_options=scene_options,
        options=options,
        tta=tta,
        job=job,
        progress=progress,
    )


def extract_landcover(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | inference.Predictor,
    *,
    out: str | os.PathLike[str] | None = None,
    scene_options: SceneOptions = SceneOptions(),
    options: vectorize.LandcoverOptions = vectorize.LandcoverOptions(),
    tta: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> "gpd.GeoDataFrame":
    """Extract the land cover of a scene as a table of polygons; see ``extract_map``."""
    return extract_map(
        path,
        model,
        out=out,
        scene_options=scene_options,
        options=options,
        tta=tta,
        job=job,
        progress=progress,
    )


def extract_map(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | inference.Predictor = "roads",
    *,
    out: str | os.PathLike[str] | None = None,
    scene_options: SceneOptions = SceneOptions(),
    options: vectorize.MapOptions | None = None,
    tta: bool = False,
    job: str | os.PathLike[str] | None = None,
    progress: Progress = lambda _part: None,
) -> vectorize.Map:
    """Extract a map from a scene: a ``RoadGraph``, or a GeoDataFrame of polygons.

    path           the scene: a file, an address, a folder, a pattern or a STAC item
    model          a bundled model's name, a model file, a run's folder, or a loaded model
    out            a GeoPackage to write; the probability is written beside it as ``.prob.tif``
    scene_options  how the scene is read
    options        which kind of map, and how it is made; None: the kind of the model's classes
                   (``map_kind``) with its defaults
    tta            average the predictions of eight flips and rotations
    job            a folder for the state of the work: after a stop, the same call resumes there
    progress       called with the part that is done, 0 to 1

    Raises ``InputError`` when the model has no class of this kind, before anything is computed,
    and ``SceneError`` when the scene cannot be read or does not fit the model.
    """
    if job is not None and out is None:
        raise InputError("a job needs a file to write its result to: name one with out")
    if out is not None:
        check_not_inputs([out, prob_path(out)], [path])
    ready = inference.load_model(model) if isinstance(model, str | os.PathLike) else model
    options = find_options(ready, options)
    tracer = vectorize.MapTracer(
        options.with_default_threshold(ready.metadata.threshold), ready.metadata.classes
    )
    trace = partial(_trace, model=ready, tracer=tracer, out=out, progress=progress)
    if job is None or out is None:
        with open_scene(path, scene_options) as opened:
            scene = inference.conform_scene(ready, opened)
            parts = inference.predict_bands if out is None else inference.predict_blocks
            return trace(parts(ready, scene, tta=tta), scene)
    results = [out, prob_path(out)]
    with (
        open_map_job(
            job, path, ready, scene_options=scene_options, options=options, tta=tta
        ) as work,
        jobs.exclusive(work, results),
    ):
        if work.is_finished(results):
            return vectorize.read_map(out, options.kind)
        found = trace(work.bands(), work.scene)
        work.finish(results)
        return found


def find_options(
    model: inference.Predictor, options: vectorize.MapOptions | None = None
) -> vectorize.MapOptions:
    """The options, or the default ones for the kind of map that the model's classes make.

    Raises ``InputError`` where the model has no class of this kind.
    """
    classes = model.metadata.classes
    found = vectorize.options_for(kind_of(classes)) if options is None else options
    class_bands(found.kind, classes, source=f"model {model.metadata.name!r}")
    return found


@contextmanager
def open_map_job(
    job: str | os.PathLike[str],
    path: str | os.PathLike[str],
    model: inference.Predictor,
    *,
    scene_options: SceneOptions = SceneOptions(),
    options: vectorize.MapOptions | None = None,
    tta: bool = False,
) -> Iterator[jobs.Job]:
    """Open the job in the folder ``job`` that ``extract_map`` with these options finishes.

    Other processes or machines can compute its bands. Raises ``InputError`` when the folder is the
    job of another model, scene or options.
    """
    settings = job_settings(find_options(model, options))
    with open_scene(path, scene_options) as scene:
        yield jobs.open_job(job, model, scene, tta=tta, settings=settings)


def prob_path(out: str | os.PathLike[str]) -> Path:
    """The file of the probability: beside the map, as ``.prob.tif``."""
    return Path(out).with_suffix(".prob.tif")


def job_settings(options: vectorize.MapOptions) -> dict[str, Any]:
    """What a map depends on besides the probability, as a job stores it.

    RULE: the same options are the same settings in all versions. So the first three are there for
    any kind of map, and an option that was added later is there only if it is not the default.
    """
    settings: dict[str, Any] = {
        "threshold": options.threshold,
        "min_spur_m": vectorize.RoadOptions.min_spur_m,
        "max_gap_m": vectorize.RoadOptions.max_gap_m,
    }
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in settings or value != field.default:
            settings[field.name] = value
    if options.kind is not MapKind.ROADS:
        settings["what"] = options.kind.value
    return settings


def _trace(
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
        inference.prefetch(inference.write_and_read_rows(prob_path(out), model, scene, parts), 1)
    ) as coming:
        take(islice(coming, inference.count_strips(model, scene)))
        found = tracer.finish()
        deque(coming, maxlen=0)
    vectorize.write_map(out, found, tracer.kind)
    return found
