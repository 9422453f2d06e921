"""``terralink models``: the models that are shipped."""

from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    name: Annotated[
        str | None, typer.Argument(help="One model, to say all about it.", show_default=False)
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the models that are shipped, or tell all about one.

    The result is a table of models with their pixel size, bands and figures; with torch installed,
    the networks that can be trained follow.
    """
