"""``terralink import``: a checkpoint of the authors' code to one of ours."""

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options
from terralink.outputs import CHECKPOINT


def run(
    checkpoint: Annotated[
        Path, typer.Argument(help="The authors' file, such as log01_dink34.th.", show_default=False)
    ],
    name: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="The network it is of, such as dlinknet34."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR|ONNX", help="A folder, or a model file ending in .onnx.")
    ],
    pixel_size_m: Annotated[
        float,
        typer.Option("--pixel-size", metavar="METRES", min=0.001, help="Of its training images."),
    ] = 0.5,
    licence: Annotated[str, typer.Option(help="What the weights may be used for.")] = "",
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Import a checkpoint that D-LinkNet's or PP-LinkNet's authors published (extra 'train').

    The result is a checkpoint folder, or with --out FILE.onnx a model file. Either takes raw RGB
    pixels of 0..255: the order and scale that the authors' code gives its images are inside.
    """
    written = [out] if out.suffix == ".onnx" else [out / name for name in CHECKPOINT]
    options.check_outputs(written, files=[checkpoint], overwrite=overwrite)
    with console.extra("train"):
        from terralink.export.published import import_published
    started = perf_counter()
    card = import_published(checkpoint, name, out, pixel_size_m=pixel_size_m, licence=licence)
    took_s = perf_counter() - started
    record = {
        "checkpoint": str(checkpoint),
        "model": card.model_dump(mode="json"),
        "seconds": took_s,
        "written": [str(out)],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("model", f"{card.name}: {card.about}"),
            ("network", card.network),
            ("took", console.duration(took_s)),
            ("written", out),
        ],
    )
