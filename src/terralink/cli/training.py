"""``terralink train``, ``train-stages`` and ``sweep``: recipes and data to checkpoints."""

import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from terralink.cli import console, options, process
from terralink.errors import InputError

if TYPE_CHECKING:
    from terralink.train.multirun import Row

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A name ('terralink recipes') or a .yaml file.")
]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the training data.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run or runs.")]
Start = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of a run whose weights to start from.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
]
Devices = Annotated[int, typer.Option(min=1, help="Processes, or GPUs, on each host (DDP).")]
Hosts = Annotated[int, typer.Option(min=1, help="Hosts that run this same command (DDP).")]


@contextmanager
def require_training() -> Iterator[None]:
    """Require the extra; matplotlib caches its list of fonts in a temporary folder, not at home."""
    with TemporaryDirectory(prefix="terralink_fonts_") as fonts:
        os.environ.setdefault("MPLCONFIGDIR", fonts)
        with console.require_extra("train"):
            import lightning  # noqa: F401
        yield


@contextmanager
def training_process() -> Iterator[None]:
    """Require the extra; the training loop prints to stderr, without lightning's notes."""
    with require_training():
        process.keep_freed_memory()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        with redirect_stdout(sys.stderr):  # lightning draws its bars on stdout
            yield


def parse_settings(settings: Sequence[str] | None) -> dict[str, str]:
    """Keys and values of ``--set``.

    >>> parse_settings(["trainer.steps=100"])
    {'trainer.steps': '100'}
    """
    for setting in settings or ():
        if "=" not in setting:
            raise InputError(f"--set wants KEY=VALUE, such as trainer.steps=100; got {setting!r}")
    return dict(setting.split("=", 1) for setting in settings or ())


def run_train(
    recipe: RecipeName,
    data: Data,
    out: Out,
    settings: Settings = None,
    start: Start = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume a run that was stopped.")
    ] = False,
    devices: Devices = 1,
    hosts: Hosts = 1,
    as_json: options.AsJson = False,
) -> None:
    """Train a network with a recipe (extra 'train').

    The result is a folder with the checkpoint (model.safetensors, config.json), the recipe as it
    was run, scores.json, and the page report.html. 'terralink export' makes a model file of it. For
    an ensemble, the folder has one such folder for each member, and the scores of their mean.
    """
    started = perf_counter()
    with training_process():
        from terralink import train

        changes, processes = parse_settings(settings), train.Processes(devices, hosts)
        done_before = train.read_scores(out) is not None
        if train.is_ensemble(recipe):
            if start:
                raise InputError(f"ensemble {recipe!r} is not one run; leave out --start")
            name = (ensemble := train.Ensemble.from_name(recipe)).name
            scores = train.fit_ensemble(ensemble, data, out, changes=changes, processes=processes)
        else:
            name = (chosen := train.Recipe.from_name(recipe, changes)).name
            scores = train.fit(chosen, data, out, start=start, resume=resume, processes=processes)
    if scores is None:  # the first process speaks for all
        return
    if done_before:
        console.print_note(f"{out} has this run, which is finished: nothing was changed")
    took_s = perf_counter() - started
    console.show(
        {"recipe": name, "scores": scores, "seconds": took_s, "written": [str(out)]},
        as_json=as_json,
        lines=[
            ("recipe", name),
            *((name, f"{value:.4g}") for name, value in scores.items()),
            ("took", console.format_duration(took_s)),
            ("written", out),
        ],
    )


def run_train_stages(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="The stages in order, or only the last one, if its recipe names the one before.",
        ),
    ],
    data: Data,
    out: Out,
    settings: Settings = None,
    devices: Devices = 1,
    hosts: Hosts = 1,
    as_json: options.AsJson = False,
) -> None:
    """Train in stages, each from the weights of the stage before (extra 'train').

    The result is a folder with a run for each stage, 1_NAME, 2_NAME and so on; the last one is the
    network. Stages that are finished are not run again, so the same command resumes after a stop.
    """
    started = perf_counter()
    with training_process():
        from terralink import train

        changes = parse_settings(settings)
        if len(recipes) == 1:
            stages = train.load_stages(recipes[0], changes)
        else:
            stages = [train.Recipe.from_name(name, changes) for name in recipes]
        done = train.train_stages(stages, data, out, processes=train.Processes(devices, hosts))
    took_s = perf_counter() - started
    console.show(
        {
            "stages": [{"recipe": recipe.name, "scores": scores} for recipe, scores in done],
            "seconds": took_s,
            "written": [str(out)],
        },
        as_json=as_json,
        lines=[
            *(
                (f"{recipe.name} {name}", f"{value:.4g}")
                for recipe, scores in done
                for name, value in scores.items()
            ),
            ("took", console.format_duration(took_s)),
            ("written", out),
        ],
    )


def run_sweep(
    recipe: RecipeName,
    data: Data,
    out: Out,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=A,B,C",
            help="Values to try for a key; repeat it for a grid.",
        ),
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Train each setting in this many folds.")
    ] = None,
    start: Start = None,
    figure: Annotated[
        str | None, typer.Option(help="Show only this figure, such as epfl/patch_f1.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Train a recipe with several settings, each in several folds (extra 'train').

    The result is a table with the mean and the standard deviation of each figure over the folds,
    and a folder with all the training runs. Those that are finished are not run again.
    """
    with training_process():
        from terralink import train

        choices = {key: _values(key, text) for key, text in parse_settings(settings).items()}
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
                (_format_setting(row), "  ".join(f"{name} {_cell(row, name)}" for name in shown))
                for row in rows
            ),
            ("written", out),
        ],
    )


def _values(key: str, text: str) -> list[str]:
    values = [value.strip() for value in text.split(",")]
    if not all(values):
        raise InputError(f"--set {key}={text}: wanted values between the commas")
    return values


def _record(row: "Row", figures: list[str]) -> dict[str, object]:
    return {
        "setting": row.setting,
        "runs": [dict(scores) for scores in row.runs],
        "mean": {name: row.mean(name) for name in figures},
        "spread": {name: row.spread(name) for name in figures},
    }


def _format_setting(row: "Row") -> str:
    return " ".join(f"{key}={value}" for key, value in row.setting.items()) or "as it is"


def _cell(row: "Row", figure: str) -> str:
    spread = row.spread(figure)
    return f"{row.mean(figure):.3f}" + ("" if math.isnan(spread) else f" ± {spread:.3f}")
