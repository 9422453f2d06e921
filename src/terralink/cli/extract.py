"""``terralink extract``: scenes to maps."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from terralink.cli import console, options, process
from terralink.errors import InputError
from terralink.map_kind import MapKind

if TYPE_CHECKING:
    from terralink.inference import Predictor
    from terralink.raster import SceneOptions
    from terralink.vectorize import Map, MapOptions

_PROB = ".prob.tif"  # written beside a map, see ``extract.prob_path``

Results: TypeAlias = Mapping[Path, Path]


class How(NamedTuple):
    """The same for all scenes."""

    scene_options: "SceneOptions"
    options: "MapOptions"
    tta: bool


def run_extract(
    scenes: options.Scenes,
    what: Annotated[
        MapKind | None, typer.Option(help="What to extract.", show_default="by the model's classes")
    ] = None,
    model: options.Models = None,
    weights: options.Weights = None,
    provider: options.Provider = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("maps"),
    pixel_size_m: options.PixelSize = None,
    crs: options.Crs = None,
    bands: options.Bands = None,
    stretch: options.StretchOption = options.StretchMode.AUTO,
    no_data: options.NoDataValues = None,
    threshold: options.Threshold = None,
    min_probability: options.MinProbability = None,
    tta: options.Tta = False,
    area: options.AreaFile = None,
    bounds: options.Bounds = None,
    on_corrupt_block: options.OnCorruptBlock = options.CorruptBlockAction.REFUSE,
    job: options.Job = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:8786",
            help="A Dask scheduler whose workers see the same files, or local:N for N processes.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Extract maps from scenes: routable roads, buildings, or land cover.

    The result is a GeoPackage DIR/SCENE.gpkg for each SCENE, with styles for QGIS, and the
    probability of each class in a GeoTIFF DIR/SCENE.prob.tif. The classes of the model decide what
    the GeoPackage has: roads the layers 'roads' (lines with length and width in metres) and
    'junctions'; buildings the layer 'buildings' (polygons with area_m2 and prob); all other classes
    the layer 'landcover' (polygons with class, name and area_m2 that share their edges).

    With --job, a command that was stopped resumes where it was, and a finished scene is not
    computed again; remove the folder at the end. With --cluster the default of --job is DIR/job.
    """
    results = _results(scenes, out)
    options.check_outputs(
        [file for result in results.values() for file in (result, result.with_suffix(_PROB))],
        scenes=scenes,
        files=[area, job, *options.files_of_models(model)],
        overwrite=overwrite,
    )
    process.use_one_arena()
    from terralink.pipeline import extract
    from terralink.raster.source import open_source
    from terralink.vectorize import options_for

    scene_options = options.scene_options(
        bands=bands,
        stretch=stretch,
        no_data=no_data,
        pixel_size_m=pixel_size_m,
        crs=crs,
        area=area,
        bounds=bounds,
        on_corrupt_block=on_corrupt_block,
    )
    ready = options.load_model(model, weights, provider=provider)
    kind = extract.find_options(ready, None if what is None else options_for(what)).kind
    map_options = options_for(kind, threshold=threshold, min_probability=min_probability)
    how = How(scene_options, map_options, tta)
    maps = (
        _extract(results, ready, job, how)
        if cluster is None
        else _extract_on_cluster(results, ready, job or out / "job", how, cluster)
    )
    records = []
    started = perf_counter()
    for scene, found in maps:
        result = results[scene]
        record = {
            "scene": str(scene),
            "what": kind.value,
            "model": ready.metadata.name,
            "provider": ready.provider,
            **console.map_record(found, kind),
            "seconds": perf_counter() - started,
            "written": [str(result), str(extract.prob_path(result))],
        }
        records.append(record)
        started = perf_counter()
        if found.crs is None and pixel_size_m is None:
            with open_source(extract.prob_path(result)) as prob:
                console.note_no_crs(scene, prob.grid.transform)
        if not as_json:
            console.show_table([("scene", scene), *console.map_table(record)])
    if as_json:
        console.show_json({"scenes": records})


def _extract(
    results: Results, model: "Predictor", job: Path | None, how: How
) -> Iterator[tuple[Path, "Map"]]:
    """Scene by scene, by this process."""
    from terralink.pipeline import extract

    for scene, result in results.items():
        with console.show_progress(f"{scene.name}, {model.provider}") as update:
            found = extract.extract_map(
                scene,
                model,
                out=result,
                job=None if job is None else job / options.stem(scene),
                progress=update,
                **how._asdict(),
            )
        yield scene, found


def _extract_on_cluster(
    results: Results, model: "Predictor", job: Path, how: How, address: str
) -> Iterator[tuple[Path, "Map"]]:
    """Each scene when it is done, by the workers of the cluster at ``address``."""
    from terralink import vectorize
    from terralink.pipeline import cluster

    spec = cluster.ModelSpec.of(model, threads=cluster.threads_per_worker(address))
    scene_of = {result.resolve(): scene for scene, result in results.items()}
    tasks = [
        cluster.SceneTask(_absolute(scene), out, (job / options.stem(scene)).resolve(), spec, *how)
        for out, scene in scene_of.items()
    ]
    with console.require_extra("cluster"), cluster.connect(address) as client:
        for task in cluster.run_tasks(tasks, client):
            yield scene_of[task.out], vectorize.read_map(task.out, how.options.kind)


def _absolute(scene: Path) -> Path:
    """The absolute path of a file; what is no file here keeps its name."""
    return scene.resolve() if scene.exists() else scene


def _results(scenes: list[Path], out: Path) -> dict[Path, Path]:
    """Each scene with the file of its map; two scenes never share one."""
    results = {scene: out / f"{options.stem(scene)}.gpkg" for scene in scenes}
    for result, count in Counter(results.values()).items():
        if count > 1:
            raise InputError(
                f"{count} scenes would be written to {result}: extract them into different folders"
            )
    return results
