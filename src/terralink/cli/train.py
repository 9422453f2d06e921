"""``terralink train``: a recipe and data to a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name ('terralink recipes') or a file.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the training data.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run stopped.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a network as a recipe says (extra 'train').

    The result is a folder with the checkpoint (model.safetensors, config.json), the recipe as it
    was run, and the figures of each epoch. 'terralink export' makes a model file of it.
    """
