"""``terralink demo``: a drawn town, extracted, scored, with a report to look at."""

from pathlib import Path
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the results.")] = Path("demo"),
    size_px: Annotated[
        int, typer.Option("--size", metavar="PX", min=256, help="Side of the town in pixels.")
    ] = 2048,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Another seed, another town.")] = 7,
    model: options.Model = "roads",
    as_json: options.AsJson = False,
) -> None:
    """Draw a town, extract its roads, and score them against the truth.

    The result is DIR/report.html, one file to open in a browser: the scene, the probability of road,
    the roads found, and what was missed. Beside it lie the scene, the truth and the map.
    """
