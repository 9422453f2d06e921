"""The command line: one file a verb, and this one, which runs them.

A verb reads files and writes one artifact in an open format. What it found goes to stdout, as a
short table or with ``--json`` as one JSON object; progress goes to stderr. A mistake that the user
can mend ends in one line on stderr and exit code 2, and so does Ctrl-C; nothing half-written stays.

Importing this costs a few milliseconds: the verbs import their rooms when they run.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
import typer.main

import terralink
from terralink.atomic_write import check_readable_name
from terralink.cli import (
    chip,
    console,
    demo,
    diff,
    evaluate,
    export,
    extract,
    fit_stages,
    import_,
    models,
    predict,
    rasterize,
    recipes,
    submit,
    sweep,
    train,
    unsubmit,
    vectorize,
)
from terralink.errors import TerralinkError

_BAD_INPUT = 2

app = typer.Typer(
    help="From satellite and aerial images to maps.",
    epilog="'terralink VERB --help' says what a verb makes. To see it work: terralink demo",
    add_completion=False,
    rich_markup_mode=None,  # plain help: drawing it with rich doubles the start-up time
)
for verb in (
    demo,
    extract,
    predict,
    vectorize,
    evaluate,
    diff,
    rasterize,
    chip,
    train,
    fit_stages,
    sweep,
    submit,
    unsubmit,
    import_,
    export,
    models,
    recipes,
):
    app.command(verb.__name__.rpartition(".")[2].rstrip("_").replace("_", "-"))(verb.run)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"terralink {terralink.__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, or 2 after one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A stop that a scheduler asks for is Ctrl-C: whatever is half-written goes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    command = typer.main.get_command(app)
    try:
        for argument in given:
            check_readable_name(argument)
        with (
            console.telling_warnings(),
            command.make_context("terralink", given or ["--help"]) as context,
        ):
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as stop:
        return stop.exit_code
    except typer.TyperException as error:  # of the command line itself
        return _refuse(error.format_message())
    except TerralinkError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return _refuse("stopped; nothing half-written was left")
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(reason: str) -> int:
    print("terralink:", " ".join(reason.split()), file=sys.stderr)
    return _BAD_INPUT
