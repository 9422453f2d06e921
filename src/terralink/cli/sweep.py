"""``terralink sweep``: one recipe over settings and folds."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options, runs
from terralink.errors import InputError

if TYPE_CHECKING:
    from terralink.train.multirun import Row


def run(
    recipe: runs.RecipeName,
    data: runs.Data,
    out: runs.Out,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=A,B,C", help="Values to try for a key; repeatable: a grid."
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Train each setting in so many folds.")
    ] = None,
    start: runs.Start = None,
    figure: Annotated[
        str | None, typer.Option(help="Show this figure alone, such as epfl/patch_f1.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a recipe with several settings, each in several folds (extra 'train').

    The result is a table with the mean and the standard deviation of each figure over the folds,
    and a folder with all runs. Runs that are done are not run again.
    """
    with runs.training():
        from terralink import train

        choices = {key: _values(key, given) for key, given in runs.changes(settings).items()}
        rows = train.sweep(recipe, choices, data, out, folds=folds, start=start)
    figures = list(rows[0].runs[0])
    if figure is not None and figure not in figures:
        raise InputError(f"no figure {figure!r} in these runs; there are {', '.join(figures)}")
    shown = [figure] if figure else figures
    console.show(
        {"rows": [_record(row, figures) for row in rows], "written": [str(out)]},
        as_json=as_json,
        lines=[
            *(
                (_told(row), "  ".join(f"{name} {_cell(row, name)}" for name in shown))
                for row in rows
            ),
            ("written", out),
        ],
    )


def _values(key: str, given: str) -> list[str]:
    values = [value.strip() for value in given.split(",")]
    if not all(values):
        raise InputError(f"--set {key}={given}: wanted values between the commas")
    return values


def _record(row: "Row", figures: list[str]) -> dict[str, object]:
    return {
        "setting": row.setting,
        "runs": [dict(scores) for scores in row.runs],
        "mean": {name: row.mean(name) for name in figures},
        "spread": {name: row.spread(name) for name in figures},
    }


def _told(row: "Row") -> str:
    return " ".join(f"{key}={value}" for key, value in row.setting.items()) or "as it is"


def _cell(row: "Row", figure: str) -> str:
    spread = row.spread(figure)
    return f"{row.mean(figure):.3f}" + ("" if math.isnan(spread) else f" ± {spread:.3f}")
