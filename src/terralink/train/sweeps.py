"""One recipe over a grid of settings and over folds: a table with mean and spread."""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from terralink.train.folder import Scores, check_member, finished
from terralink.train.loop import fit
from terralink.train.recipe import Recipe

Setting = dict[str, str]  # dotted keys of the recipe and their values, as YAML


@dataclass(frozen=True)
class Row:
    """One setting, and what each figure was in its runs."""

    setting: Setting
    runs: Sequence[Scores]

    def mean(self, figure: str) -> float:
        return statistics.fmean(scores[figure] for scores in self.runs)

    def spread(self, figure: str) -> float:
        """Standard deviation over the runs; nan of one alone."""
        values = [scores[figure] for scores in self.runs]
        return statistics.stdev(values) if len(values) > 1 else math.nan


def grid(choices: Mapping[str, Sequence[str]]) -> Iterator[Setting]:
    """Every combination of the values of each key.

    >>> list(grid({"loss.alpha": ["0.1", "0.2"], "trainer.seed": ["0"]}))
    [{'loss.alpha': '0.1', 'trainer.seed': '0'}, {'loss.alpha': '0.2', 'trainer.seed': '0'}]
    """
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def sweep(
    name: str,
    choices: Mapping[str, Sequence[str]],
    data: Path,
    out: Path,
    *,
    folds: int | None = None,
    start: Path | None = None,
) -> list[Row]:
    """Train ``name`` with every setting, and each in ``folds`` folds, into folders of ``out``.

    Runs that came to their end are not run again, so a sweep that was stopped goes on. All recipes
    are read before the first run, so that a wrong value costs no time.
    """
    splits = {f"fold{fold}": f"{{folds: {folds}, fold: {fold}}}" for fold in range(folds or 0)}
    parts: dict[str, Setting] = {fold: {"split": split} for fold, split in splits.items()}
    planned = [
        (
            setting,
            {
                out / _name(setting) / fold: Recipe.named(name, {**setting, **part})
                for fold, part in (parts or {"": {}}).items()
            },
        )
        for setting in grid(choices)
    ]
    return [
        Row(setting, [_run(recipe, data, folder, start) for folder, recipe in runs.items()])
        for setting, runs in planned
    ]


def _name(setting: Setting) -> str:
    """The setting as the name of a folder."""
    told = ",".join(f"{key}={value}" for key, value in setting.items())
    return "".join(each if each.isalnum() or each in "=._-," else "-" for each in told) or "as_is"


def _run(recipe: Recipe, data: Path, folder: Path, start: Path | None) -> Scores:
    scores = finished(folder)
    if scores is None:
        return fit(recipe, data, folder, start=start, resume=True) or {}
    check_member(recipe, folder)
    return scores
