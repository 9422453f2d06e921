"""What the verbs share: results on stdout, progress on stderr, and the extras they may lack."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from terralink.errors import TerralinkError

Record = Mapping[str, Any]


def show(record: Record, *, as_json: bool, lines: Sequence[tuple[str, object]]) -> None:
    """Print ``record`` as one JSON object, or ``lines`` (name, value) as a table of two columns."""
    if as_json:
        print(json.dumps(record))
        return
    widest = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{widest}}  {value}")


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(3.24), duration(754)
    ('3.2 s', '12 min 34 s')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


@contextmanager
def progress(label: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr while the block runs; call what is yielded with the part done, 0..1.

    Where stderr is no terminal, a log file say, nothing is drawn.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeLeft())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda part: bar.update(task, completed=part)


def note(line: str) -> None:
    """Say something on stderr that is worth knowing and stops nothing."""
    print(f"terralink: {line}", file=sys.stderr)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Tell which extra to install when an import in the block finds a package missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("terralink"):
            raise  # ours: a defect, not a missing extra
        raise TerralinkError(
            f"this verb needs {error.name}, which the core install leaves out; "
            f"get it with: pip install 'terralink[{name}]'"
        ) from error
