"""``terralink train``: a recipe and data to a checkpoint."""

import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options
from terralink.errors import InputError


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name ('terralink recipes') or a file.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the training data.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of a run whose weights to go on from."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a network as a recipe says (extra 'train').

    The result is a folder with the checkpoint (model.safetensors, config.json), the recipe as it
    was run, and the figures of each epoch. 'terralink export' makes a model file of it.
    """
    with console.extra("train"):
        from terralink import train
    # What machine it found is no news: it would stand before the one line of a mistake.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    started = perf_counter()
    chosen = train.Recipe.named(recipe, _changes(settings or []))
    with redirect_stdout(sys.stderr):  # lightning draws its bars on stdout
        figures = train.fit(chosen, data, out, start=start, resume=resume)
    took_s = perf_counter() - started
    console.show(
        {"recipe": chosen.name, "figures": figures, "seconds": took_s, "written": [str(out)]},
        as_json=as_json,
        lines=[
            ("recipe", chosen.name),
            *((name, f"{value:.4g}") for name, value in figures.items()),
            ("took", console.duration(took_s)),
            ("written", out),
        ],
    )


def _changes(settings: list[str]) -> dict[str, str]:
    """``["trainer.steps=100"]`` as keys and values."""
    for setting in settings:
        if "=" not in setting:
            raise InputError(f"--set wants KEY=VALUE, such as trainer.steps=100; got {setting!r}")
    return dict(setting.split("=", 1) for setting in settings)
