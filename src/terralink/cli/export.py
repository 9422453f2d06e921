"""``terralink export``: a checkpoint to one ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder of a run, made by 'train'.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="ONNX", help="The file to write.")] = Path(
        "model.onnx"
    ),
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise: a quarter of the size, about twice as fast.")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="CHIPS", help="Folder of images that --int8 measures.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Export a checkpoint as a model file (extra 'train').

    The result is one ONNX file that takes raw 0..255 pixels and carries all that predicting needs:
    normalisation, bands, pixel size, classes, threshold, licence and recipe.
    """
