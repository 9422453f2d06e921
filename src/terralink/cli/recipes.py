"""``terralink recipes``: the recipes that 'train' knows."""

import json
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
    with console.extra("train"):
        from terralink.train import recipe as book
    if name is not None:
        recipe = book.Recipe.named(name)
        print(json.dumps(recipe.model_dump(mode="json")) if as_json else recipe.to_yaml().rstrip())
        return
    known = {each: book.Recipe.named(each) for each in book.shipped()}
    console.show(
        {"recipes": [recipe.model_dump(mode="json") for recipe in known.values()]},
        as_json=as_json,
        lines=[(each, recipe.about) for each, recipe in known.items()],
    )
