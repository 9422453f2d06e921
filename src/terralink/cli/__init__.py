"""The command line: the commands, and ``main``, which runs one of them.

A command reads files and writes one result in an open format. It prints a short table on stdout,
or with ``--json`` one JSON object; progress goes to stderr. An error that the user can correct is
one line on stderr and exit code 2, and so is Ctrl-C; partly written files are removed.

Importing this costs a few milliseconds: a command imports the packages that it needs when it runs.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
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
    extract,
    model_files,
    models,
    predict,
    process,
    rasterize,
    submission,
    training,
    vectorize,
)
from terralink.errors import TerralinkError

_BAD_INPUT = 2

app = typer.Typer(
    help="From satellite and aerial images to maps.",
    epilog="'terralink COMMAND --help' says what a command makes. For an example: terralink demo",
    add_completion=False,
    rich_markup_mode=None,  # plain help: drawing it with rich doubles the start-up time
)
COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo.run_demo,
    "extract": extract.run_extract,
    "predict": predict.run_predict,
    "vectorize": vectorize.run_vectorize,
    "evaluate": evaluate.run_evaluate,
    "diff": diff.run_diff,
    "rasterize": rasterize.run_rasterize,
    "chip": chip.run_chip,
    "train": training.run_train,
    "train-stages": training.run_train_stages,
    "sweep": training.run_sweep,
    "submit": submission.run_submit,
    "from-submission": submission.run_from_submission,
    "import": model_files.run_import,
    "export": model_files.run_export,
    "models": models.run_models,
    "recipes": models.run_recipes,
}
for name, run in COMMANDS.items():
    app.command(name)(run)

# Old names, which work for one more release.
RENAMED_COMMANDS = {"fit-stages": "train-stages", "unsubmit": "from-submission"}
RENAMED_OPTIONS = {"--on-bad-tile": "--on-corrupt-block"}


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"terralink {terralink.__version__}")
        raise typer.Exit


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, or 2 after one line on stderr."""
    words = _current_names(list(sys.argv[1:] if arguments is None else arguments))
    process.treat_stop_as_ctrl_c()
    command = typer.main.get_command(app)
    try:
        for argument in words:
            check_readable_name(argument)
        with (
            console.print_warnings(),
            command.make_context("terralink", words or ["--help"]) as context,
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
        return _refuse("stopped; partly written files were removed")
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        process.discard_stdout()
    return 0


def _current_names(words: list[str]) -> list[str]:
    """The arguments with old names of commands and options replaced; a note says so."""
    if words and words[0] in RENAMED_COMMANDS:
        words = [_current_name(words[0], RENAMED_COMMANDS), *words[1:]]
    current = []
    for word in words:
        option, equals, value = word.partition("=")
        is_old = option in RENAMED_OPTIONS
        current.append(_current_name(option, RENAMED_OPTIONS) + equals + value if is_old else word)
    return current


def _current_name(old: str, names: Mapping[str, str]) -> str:
    console.print_note(f"{old} is an old name, and the next release drops it: use {names[old]}")
    return names[old]


def _refuse(reason: str) -> int:
    print("terralink:", " ".join(reason.split()), file=sys.stderr)
    return _BAD_INPUT
