"""``terralink demo``: draw a town, extract and score its roads, and write a report."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options


def run_demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("demo"),
    size_px: Annotated[
        int, typer.Option("--size", metavar="PX", min=256, help="Side of the town in pixels.")
    ] = 2048,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Another seed draws another town.")
    ] = 7,
    model: options.Model = "roads",
    provider: options.Provider = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Draw a town, extract its roads, and score them.

    The result is DIR/report.html, one page for the browser: the scene, the probability of road, the
    extracted roads, and the missed ones. The scene, the truth and the map are written beside it.
    """
    from dataclasses import astuple

    from terralink.pipeline import demo

    files = astuple(demo.DemoFiles.of(out))
    options.check_outputs(files, files=options.files_of_models([model]), overwrite=overwrite)
    started = perf_counter()
    ready = options.load_model([model], provider=provider)
    with console.show_progress(f"demo, {ready.provider}") as update:
        result = demo.run_demo(out, size_px=size_px, seed=seed, model=ready, progress=update)
        command = f"terralink demo --size {size_px} --seed {seed} --model {model}"
        page = demo.draw_page(result, command=command)
        page.write(result.files.report)
        page.write_picture(result.files.picture, of=["Probability", "Truth against map"])
    lines, took_s = result.lines, perf_counter() - started
    record = {
        "size_px": size_px,
        "seed": seed,
        "model": ready.metadata.name,
        "provider": ready.provider,
        "precision": lines.precision,
        "recall": lines.recall,
        "f1": lines.f1,
        "road_iou": float(result.pixels.iou()[1]),
        **console.roads_record(result.roads),
        "stages": result.seconds,
        "seconds": took_s,
        "written": [str(path) for path in astuple(result.files)],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("centre lines", f"precision {lines.precision:.3f}, recall {lines.recall:.3f}"),
            ("road IoU", f"{record['road_iou']:.3f}"),
            *console.roads_table(record),
            ("to look at", result.files.report),
        ],
    )
