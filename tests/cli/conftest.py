"""The command line as a function: arguments in; exit code, stdout and stderr out."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from terralink.cli import main


class Ended(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def terralink(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a verb in this process."""

    def run(*arguments: object) -> Ended:
        code = main([str(argument) for argument in arguments])
        return Ended(code, *capsys.readouterr())

    return run
