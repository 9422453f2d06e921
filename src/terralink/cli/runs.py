"""What the verbs that train share: their options, their quiet, and how a setting is written."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from terralink.cli import console, memory
from terralink.errors import InputError

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A name ('terralink recipes') or a .yaml file.")
]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the training data.")]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run or runs.")]
Start = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of a run whose weights to go on from.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; repeatable."),
]
Devices = Annotated[int, typer.Option(min=1, help="Processes, or GPUs, on each host (DDP).")]
Hosts = Annotated[int, typer.Option(min=1, help="Hosts that run this same command (DDP).")]


@contextmanager
def importing() -> Iterator[None]:
    """Needs the extra; matplotlib lists the machine's fonts in a folder of ours, not at home."""
    with TemporaryDirectory(prefix="terralink_fonts_") as fonts:
        os.environ.setdefault("MPLCONFIGDIR", fonts)
        with console.extra("train"):
            import lightning  # noqa: F401
        yield


@contextmanager
def training() -> Iterator[None]:
    """Needs the extra; what the loop says goes to stderr, what machine it found is no news."""
    with importing():
        memory.keep_freed()
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        with redirect_stdout(sys.stderr):  # lightning draws its bars on stdout
            yield


def changes(settings: Sequence[str] | None) -> dict[str, str]:
    """Keys and values of ``--set``.

    >>> changes(["trainer.steps=100"])
    {'trainer.steps': '100'}
    """
    for setting in settings or ():
        if "=" not in setting:
            raise InputError(f"--set wants KEY=VALUE, such as trainer.steps=100; got {setting!r}")
    return dict(setting.split("=", 1) for setting in settings or ())
