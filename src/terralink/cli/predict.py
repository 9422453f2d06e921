"""``terralink predict``: a scene to the probability of each class in each pixel."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.atomic_write import write_atomically
from terralink.cli import console, options, process

if TYPE_CHECKING:
    from terralink.inference import Predictor
    from terralink.raster import Grid, Raster, Scene


def run_predict(
    scene: options.Scene,
    model: options.Models = None,
    weights: options.Weights = None,
    provider: options.Provider = None,
    out: Annotated[Path, typer.Option(metavar="TIF", help="The file to write.")] = Path("prob.tif"),
    pixel_size_m: options.PixelSize = None,
    crs: options.Crs = None,
    bands: options.Bands = None,
    stretch: options.StretchOption = options.StretchMode.AUTO,
    no_data: options.NoDataValues = None,
    tta: options.Tta = False,
    area: options.AreaFile = None,
    bounds: options.Bounds = None,
    on_corrupt_block: options.OnCorruptBlock = options.CorruptBlockAction.REFUSE,
    job: options.Job = None,
    native: Annotated[
        bool,
        typer.Option("--native", help="Write the pixel grid of the scene, not that of the model."),
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Predict the probability of each class in each pixel of a scene.

    The result is a GeoTIFF at the pixel size of the model, or with --native at that of the scene:
    uint8 with a scale of 1/255, masked where the scene has no data. 'terralink vectorize' turns it
    into a map.
    """
    options.check_outputs(
        [out],
        scenes=[scene],
        files=[area, job, *options.files_of_models(model)],
        overwrite=overwrite,
    )
    process.use_one_arena()
    from terralink import inference, raster

    started = perf_counter()
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
    with (
        raster.open_scene(
            scene,
            scene_options,
            pixel_size_m=ready.metadata.pixel_size_m,
        ) as opened,
        console.show_progress(f"{scene.name}, {ready.provider}") as update,
    ):
        done_px = 0

        def count(band: "Raster") -> None:
            nonlocal done_px
            done_px += math.prod(band.grid.shape)
            update(done_px / math.prod(opened.grid.shape))

        grid = opened.native_grid if native else opened.grid
        if job is None:
            with _on(grid, opened, out) as path:
                inference.predict_to_file(path, ready, opened, tta=tta, each=count)
        else:
            _write_with_job(out, ready, opened, tta=tta, job=job, grid=grid, each=count)
    if grid.crs is None and pixel_size_m is None:
        console.note_no_crs(scene, grid.transform)
    took_s = perf_counter() - started
    record = {
        "scene": str(scene),
        "model": ready.metadata.name,
        "provider": ready.provider,
        "classes": list(ready.metadata.classes),
        "shape": list(grid.shape),
        "pixel_size_m": list(grid.pixel_size_m),
        "crs": grid.crs.to_string() if grid.crs else None,
        "seconds": took_s,
        "written": [str(out)],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("classes", ", ".join(ready.metadata.classes)),
            ("size", f"{grid.width:,} x {grid.height:,} px of {grid.pixel_size_m[0]:.3g} m"),
            ("provider", ready.provider),
            ("took", console.format_duration(took_s)),
            ("written", out),
        ],
    )


def _write_with_job(
    out: Path,
    model: "Predictor",
    scene: "Scene",
    *,
    tta: bool,
    job: Path,
    grid: "Grid",
    each: "Callable[[Raster], None]",
) -> None:
    """The state of the work is in the folder ``job``."""
    from terralink import inference
    from terralink.pipeline import jobs

    settings = {"native": grid != scene.grid}
    work = jobs.open_job(job, model, scene, tta=tta, settings=settings)
    with jobs.exclusive(work, [out]):
        if not work.is_finished([out]):
            with _on(grid, scene, out) as path:
                for band in inference.write_blocks(path, model, scene, work.bands()):
                    each(band)
            work.finish([out])


@contextmanager
def _on(grid: "Grid", scene: "Scene", out: Path) -> "Iterator[Path]":
    """The file to write on the scene's working grid; then ``out`` is made of it on ``grid``."""
    from terralink import raster

    if grid == scene.grid:
        yield out
        return
    with write_atomically(out) as part:
        steps = part.with_name(f"{part.name}.steps")  # goes with the part, also after a kill
        yield steps / "model.tif"
        raster.regrid(grid, steps / "model.tif", steps / "native.tif")
        (steps / "native.tif").replace(part)
