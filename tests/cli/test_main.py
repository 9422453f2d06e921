"""What every verb owes its user: help, one line for a mistake, quiet when nobody listens."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from terralink import __version__
from terralink.cli import RENAMED_COMMANDS, app, console
from terralink.errors import TerralinkError

COMMANDS = tuple(str(command.name) for command in app.registered_commands)

Run = Callable[..., Any]


def test_help_names_every_verb(terralink: Run) -> None:
    ended = terralink("--help")
    assert ended.code == 0
    assert all(f"\n  {command} " in ended.out for command in COMMANDS)
    first = {"demo", "extract", "predict", "vectorize", "train", "export", "models", "recipes"}
    assert first <= set(COMMANDS)


def test_no_verb_at_all_gets_the_help(terralink: Run) -> None:
    assert terralink() == terralink("--help")


def test_the_version_is_told(terralink: Run) -> None:
    assert terralink("--version").out == f"terralink {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_page_says_what_the_result_is(terralink: Run, command: str) -> None:
    ended = terralink(command, "--help")
    assert ended.code == 0
    assert "The result is" in ended.out
    assert "--json" in ended.out
    assert ended.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extrakt"], "Did you mean 'extract'"),
        (["extract"], "Missing"),
        (["extract", "a.tif", "--bands", "0,1"], "--bands wants numbers from 1"),
        (["extract", "a.tif", "--what", "rivers"], "'rivers' is not"),
        (["predict", "a.tif", "--pixel-size", "-1"], "--pixel-size"),
        (["vectorize", "a.tif", "--colour", "red"], "--colour"),
    ],
)
def test_a_slip_of_the_keyboard_gets_one_line_and_exit_code_2(
    terralink: Run, arguments: list[str], said: str
) -> None:
    ended = terralink(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.startswith("terralink: ")
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_old_names_of_commands_and_options_work_with_a_note(terralink: Run) -> None:
    for old, new in RENAMED_COMMANDS.items():
        ended, current = terralink(old, "--help"), terralink(new, "--help")
        assert (ended.code, ended.out) == (0, current.out)
        assert f"{old} is an old name" in ended.err
        assert f"use {new}\n" in ended.err
        assert old not in COMMANDS
    for option in (["--on-bad-tile", "mask"], ["--on-bad-tile=mask"]):
        ended = terralink("predict", "none.tif", *option)
        assert ended.err.splitlines()[0].endswith("use --on-corrupt-block")
        assert "none.tif" in ended.err.splitlines()[1]


def test_a_closed_pipe_ends_in_silence() -> None:
    code = "from terralink.cli import main; import sys; sys.exit(main(['--help']))"
    reader = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    reader.stdout.close()
    assert reader.stderr is not None
    assert reader.stderr.read() == ""
    reader.stderr.close()
    assert reader.wait() == 0


def test_a_missing_extra_is_named_with_the_command_that_gets_it() -> None:
    with pytest.raises(TerralinkError, match=r"pip install 'terralink\[train\]'"):  # noqa: SIM117
        with console.require_extra("train"):
            import_module("no_such_package")


def test_a_module_of_ours_that_is_missing_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError):  # noqa: SIM117
        with console.require_extra("train"):
            import_module("terralink.no_such_room")


def test_json_has_null_where_there_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"recall": float("nan"), "parts": [{"m": 1.5}, (float("inf"), "x")]})
    assert capsys.readouterr().out == '{"recall": null, "parts": [{"m": 1.5}, [null, "x"]]}\n'


def test_progress_draws_nothing_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with console.show_progress("working") as update:
        update(0.5)
    assert capsys.readouterr() == ("", "")
