"""``terralink export`` and ``terralink import``: checkpoints to model files, and to checkpoints."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options
from terralink.errors import InputError
from terralink.outputs import CHECKPOINT

if TYPE_CHECKING:
    from terralink.model_card import Metadata


def run_export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder of a training run.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="ONNX", help="The file to write.")] = Path(
        "model.onnx"
    ),
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantise to int8: a quarter of the size, and faster.")
    ] = False,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="CHIPS",
            help="Folder of images that --int8 calibrates with; repeatable.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="The licence of the model.", show_default="the recipe's"),
    ] = None,
    attribution: Annotated[
        str | None,
        typer.Option(help="Credit for the data.", show_default="the recipe's"),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Export a checkpoint as a model file (extra 'train').

    The result is one ONNX file that takes pixels of 0 to 255 and has all that prediction needs:
    normalisation, bands, pixel size, classes, threshold, licence and recipe.
    """
    if int8 != bool(calibrate):
        raise InputError("--int8 and --calibrate CHIPS go together: give both, or neither")
    options.check_outputs(
        [out],
        files=[*options.files_of_models([str(checkpoint)]), *(calibrate or ())],
        overwrite=overwrite,
    )
    with console.require_extra("train"):
        from terralink.export.checkpoint import export_checkpoint
    started = perf_counter()
    metadata = export_checkpoint(
        checkpoint, out, calibrate=calibrate or (), licence=licence, attribution=attribution
    )
    took_s, size_mb = perf_counter() - started, out.stat().st_size / 1e6
    record = {
        "checkpoint": str(checkpoint),
        "model": metadata.model_dump(mode="json"),
        "int8": int8,
        "size_mb": size_mb,
        "seconds": took_s,
        "written": [str(out)],
    }
    _note_terms(metadata)
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("model", f"{metadata.name}: {metadata.about}"),
            ("size", f"{size_mb:.1f} MB, {'int8' if int8 else 'float'}"),
            ("took", console.format_duration(took_s)),
            ("written", out),
        ],
    )


def _note_terms(metadata: "Metadata") -> None:
    """Without a licence nobody may use a model; it depends on the data, so there is no default."""
    missing = [key for key in ("licence", "attribution") if not getattr(metadata, key)]
    if missing:
        console.print_note(
            f"the model has no {' and no '.join(missing)}: they depend on the data that it was "
            "trained on; before you share it, state them in the recipe, or with "
            f"{' and '.join(f'--{key}' for key in missing)}"
        )


def run_import(
    checkpoint: Annotated[
        Path, typer.Argument(help="The authors' file, such as log01_dink34.th.", show_default=False)
    ],
    name: Annotated[
        str,
        typer.Option("--as", metavar="NAME", help="Its network, such as dlinknet34."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR|ONNX", help="A folder, or a model file ending in .onnx.")
    ],
    pixel_size_m: Annotated[
        float,
        typer.Option(
            "--pixel-size", metavar="METRES", min=0.001, help="Pixel size of its training images."
        ),
    ] = 0.5,
    licence: Annotated[str, typer.Option(help="The licence of the weights.")] = "",
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Import a checkpoint that the authors of D-LinkNet or PP-LinkNet published (extra 'train').

    The result is a checkpoint folder, or with --out FILE.onnx a model file. Both take RGB pixels of
    0 to 255; the channel order and the scale of the authors' code are part of the network.
    """
    written = [out] if out.suffix == ".onnx" else [out / name for name in CHECKPOINT]
    options.check_outputs(written, files=[checkpoint], overwrite=overwrite)
    with console.require_extra("train"):
        from terralink.export.checkpoint import import_published
    started = perf_counter()
    metadata = import_published(checkpoint, name, out, pixel_size_m=pixel_size_m, licence=licence)
    took_s = perf_counter() - started
    record = {
        "checkpoint": str(checkpoint),
        "model": metadata.model_dump(mode="json"),
        "seconds": took_s,
        "written": [str(out)],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("model", f"{metadata.name}: {metadata.about}"),
            ("network", metadata.network),
            ("took", console.format_duration(took_s)),
            ("written", out),
        ],
    )
