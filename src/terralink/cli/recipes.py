"""``terralink recipes``: the recipes that 'train' knows."""

import json
from pathlib import Path
from typing import Annotated

import typer

from terralink.cli import console, options, runs


def run(
    name: Annotated[
        str | None, typer.Argument(help="One recipe, to print it whole.", show_default=False)
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="Bring the tables of a Markdown page up to date."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the recipes that 'train' knows, or print one.

    The result is a table of recipes and ensembles for each paper, with the paper's figures; or one
    of them as YAML to copy and change.
    """
    with runs.importing():
        from terralink.train import catalogue
    if name is not None:
        shown = catalogue.entry(name)
        as_yaml = catalogue.to_yaml(shown).rstrip()
        print(json.dumps(shown.model_dump(mode="json")) if as_json else as_yaml)
    elif into is not None:
        catalogue.put_into(into)
        console.show({"written": [str(into)]}, as_json=as_json, lines=[("written", into)])
    elif as_json:
        entries = [each for group in catalogue.groups() for each in group.entries.values()]
        console.show_json({"recipes": [each.model_dump(mode="json") for each in entries]})
    else:
        for number, group in enumerate(catalogue.groups()):
            if number:
                print()
            print(group.title)
            figures = [catalogue.figures(each.paper) for each in group.entries.values()]
            widest = max(map(len, figures))
            console.show_table(
                [
                    (name, f"{reached:<{widest + 2}}{each.about}" if widest else each.about)
                    for reached, (name, each) in zip(figures, group.entries.items(), strict=True)
                ]
            )
