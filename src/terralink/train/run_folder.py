"""The folder of a run: what it holds of an earlier run, and the environment that is recorded in it.

RULE 1: a run that is complete (it has a scores.json) is never changed.
RULE 2: a run that was stopped (it has a last.ckpt) is resumed on request, with the network that it
        began with; it is never started anew.
RULE 3: what fails before the first step leaves the disk as it was.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import torch

from terralink.atomic_write import write_atomically
from terralink.errors import OutputError, RecipeError
from terralink.train.recipe import Recipe

RECIPE, LAST_CHECKPOINT = "recipe.yaml", "last.ckpt"
_SCORES = "scores.json"
Scores = dict[str, float]

# Another machine may want other ones; the result is the same.
_KEYS_OF_MACHINE = {"about", "paper", "trainer.workers", "trainer.cache_mb"}
_KEYS_OF_MEMBER = {"about", "attribution", "licence", "paper", "threshold", "trainer", "tta", "val"}
_MAX_NAMED = 3  # keys that a message names


def read_scores(out: Path) -> Scores | None:
    """The scores of the run in ``out`` if it came to its end, else None."""
    try:
        scores: Scores = json.loads((out / _SCORES).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return scores


def write_scores(out: Path, scores: Scores) -> None:
    """Write the scores, last of all: a run that has them is whole."""
    with write_atomically(out / _SCORES) as part:
        part.write_text(json.dumps(scores, indent=2), encoding="utf-8")


def check_earlier_run(recipe: Recipe, out: Path, *, resume: bool) -> Scores | None:
    """The scores of a run of ``recipe`` that came to its end in ``out``; None where one may run.

    Raises ``OutputError`` where ``out`` holds a run that would be lost.
    """
    scores, stopped = read_scores(out), (out / LAST_CHECKPOINT).exists()
    if scores is None and not stopped:
        return None
    what = f"{out} holds a run that {'was stopped' if scores is None else 'came to its end'}"
    if not resume:
        then = "--resume goes on with it" if scores is None else "--resume shows its scores"
        raise OutputError(f"{what}: {then}; for another run choose another --out")
    others = _find_differences(recipe, out)
    if scores is None:
        others = [key for key in others if key.partition(".")[0] in ("name", "model")]
    if others:
        raise OutputError(
            f"{what}, of another recipe ({_list_first(others)} differ): choose another --out; "
            f"--start {out} goes on from its weights"
        )
    return scores


def check_member(recipe: Recipe, out: Path) -> None:
    """Refuse a run that came to its end in ``out`` where it learned other things than ``recipe``.

    Members of a whole may be trained one by one: their trainers, and how they were scored, may
    differ. Raises ``OutputError``.
    """
    keys = _find_differences(recipe, out)
    if others := [key for key in keys if key.partition(".")[0] not in _KEYS_OF_MEMBER]:
        raise OutputError(
            f"{out} holds a run of another recipe ({_list_first(others)} differ): "
            "choose another --out"
        )


@contextmanager
def clean_up_failed_start(out: Path, has_begun: Callable[[], bool]) -> Iterator[None]:
    """Remove what the block put into ``out`` when it fails before the run ``has_begun``."""
    missing = [path for path in (out, *out.parents) if not path.exists()]
    before = set(out.iterdir()) if out.is_dir() else set()
    try:
        yield
    except BaseException:
        if not has_begun():
            _remove(out, before)
            for path in missing:
                with suppress(OSError):  # not empty: others are writing there
                    path.rmdir()
        raise


def _remove(out: Path, before: set[Path]) -> None:
    for path in set(out.iterdir()) - before if out.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _list_first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_MAX_NAMED]) + (" and more" if len(keys) > _MAX_NAMED else "")


def _find_differences(recipe: Recipe, out: Path) -> list[str]:
    """The keys in which ``recipe`` and that of the run in ``out`` differ; none where it is lost."""
    if not (out / RECIPE).exists():
        return []
    try:
        stored = Recipe.from_file(out / RECIPE)
    except RecipeError:
        return [RECIPE]  # of a version that wrote other keys
    wanted = recipe.model_dump(mode="json")
    keys = _compare(wanted, stored.model_dump(mode="json"))
    return [key for key in keys if key not in _KEYS_OF_MACHINE]


def _compare(wanted: Any, stored: Any, place: str = "") -> Iterator[str]:
    if isinstance(wanted, list) and isinstance(stored, list):
        wanted, stored = dict(enumerate(wanted)), dict(enumerate(stored))
    if isinstance(wanted, Mapping) and isinstance(stored, Mapping):
        for key in dict.fromkeys((*wanted, *stored)):
            below = f"{place}.{key}" if place else str(key)
            yield from _compare(wanted.get(key), stored.get(key), below)
    # What was measured on the chips stands in the stored recipe.
    elif wanted != stored and wanted != "measured":
        yield place


def describe_commit() -> str:
    """The commit of the source tree that runs, or the version of the package."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"terralink {version('terralink')}"


def describe_environment() -> str:
    """Commit, command, machine and the versions of all packages, as JSON."""
    recorded = {
        "commit": describe_commit(),
        "command": sys.argv,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "packages": dict(sorted((d.metadata["Name"], d.version) for d in distributions())),
    }
    return json.dumps(recorded, indent=2)
