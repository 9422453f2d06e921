"""``terralink extract``: scenes to maps of their roads."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options
from terralink.errors import InputError


class What(StrEnum):
    """What can be extracted."""

    ROADS = "roads"


def run(
    scenes: options.Scenes,
    what: Annotated[What, typer.Option(help="What to extract.")] = What.ROADS,
    model: options.Models = None,
    weights: options.Weights = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("maps"),
    pixel_size_m: options.PixelSize = None,
    bands: options.Bands = None,
    stretch: options.Stretched = options.StretchBy.AUTO,
    threshold: options.Threshold = None,
    tta: options.Tta = False,
    job: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that keeps what is done: started again, it goes on there.",
            show_default=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Extract the roads of scenes as maps you can route on.

    The result is, for each SCENE, a GeoPackage DIR/SCENE.gpkg with the layers 'roads' (lines with
    length and width in metres) and 'junctions', styled for QGIS, and beside it the probability of
    road as a GeoTIFF, DIR/SCENE.prob.tif.

    With --job, the same command goes on where it was killed, and does no scene twice. Remove the
    job's folder when all is done.
    """
    results = _results(scenes, out)
    chosen = options.band_numbers(bands)
    from terralink import extract

    ready = options.loaded(model, weights)
    records = []
    for scene, result in results.items():
        started = perf_counter()
        with console.progress(scene.name) as update:
            roads = extract.roads(
                scene,
                model=ready,
                out=result,
                pixel_size_m=pixel_size_m,
                bands=chosen,
                stretch=options.stretch_of(stretch),
                threshold=threshold,
                tta=tta,
                job=None if job is None else job / scene.stem,
                progress=update,
            )
        record = {
            "scene": str(scene),
            "what": what.value,
            "model": ready.metadata.name,
            **console.of_roads(roads),
            "seconds": perf_counter() - started,
            "written": [str(result), str(extract.prob_path(result))],
        }
        records.append(record)
        if roads.crs is None and pixel_size_m is None:
            console.note_unmeasured(scene)
        if not as_json:
            console.show_table([("scene", scene), *console.roads_lines(record)])
    if as_json:
        console.show_json({"scenes": records})


def _results(scenes: list[Path], out: Path) -> dict[Path, Path]:
    """Each scene with the file of its map; two scenes never share one."""
    results = {scene: out / f"{scene.stem}.gpkg" for scene in scenes}
    for result, count in Counter(results.values()).items():
        if count > 1:
            raise InputError(f"{count} scenes would be written to {result}: extract them apart")
    return results
