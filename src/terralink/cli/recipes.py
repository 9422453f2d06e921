"""``terralink recipes``: the recipes that 'train' knows."""

from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    name: Annotated[
        str | None, typer.Argument(help="One recipe, to print it whole.", show_default=False)
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the recipes that 'train' knows, or print one.

    The result is a table of recipes, or one recipe as YAML to copy and change.
    """
