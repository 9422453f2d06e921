"""Several runs of recipes: a sweep over settings and folds, and stages that follow each other.

Stages are PP-LinkNet's training (Tran et al. 2020): the first stage learns from OpenStreetMap
drawn as masks, the second continues from its weights with labels that people made.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from terralink.errors import RecipeError
from terralink.train.loop import SINGLE_PROCESS, Processes, fit
from terralink.train.recipe import Changes, Recipe
from terralink.train.run_folder import Scores, check_member, read_scores

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


def expand_grid(choices: Mapping[str, Sequence[str]]) -> Iterator[Setting]:
    """Every combination of the values of each key.

    >>> list(expand_grid({"loss.alpha": ["0.1", "0.2"], "trainer.seed": ["0"]}))
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
                out / _folder_name(setting) / fold: Recipe.from_name(name, {**setting, **part})
                for fold, part in (parts or {"": {}}).items()
            },
        )
        for setting in expand_grid(choices)
    ]
    return [
        Row(
            setting,
            [fit_once(recipe, data, folder, start=start) or {} for folder, recipe in runs.items()],
        )
        for setting, runs in planned
    ]


def _folder_name(setting: Setting) -> str:
    """The setting as the name of a folder."""
    text = ",".join(f"{key}={value}" for key, value in setting.items())
    return "".join(each if each.isalnum() or each in "=._-," else "-" for each in text) or "as_is"


def fit_once(
    recipe: Recipe,
    data: Path,
    folder: Path,
    *,
    start: Path | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Scores | None:
    """The scores of a run of ``recipe`` in ``folder``: a complete run is read, others are fitted.

    A run that was stopped is resumed. Of several processes only the first returns scores.
    """
    scores = read_scores(folder)
    if scores is None:
        return fit(recipe, data, folder, start=start, resume=True, processes=processes)
    check_member(recipe, folder)
    return scores


def load_stages(name: str, changes: Changes | None = None) -> list[Recipe]:
    """The recipe ``name`` and all that it starts from, the first stage first.

    ``changes`` are made to each of them. Raises ``RecipeError`` when the stages go in a circle.
    """
    stages = [Recipe.from_name(name, changes)]
    while before := stages[0].starts_from:
        first = Recipe.from_name(before, changes)
        if first in stages:
            raise RecipeError(f"the stages of {name!r} go in a circle, by way of {before!r}")
        stages.insert(0, first)
    return stages


def train_stages(
    stages: Sequence[Recipe], data: Path, out: Path, *, processes: Processes = SINGLE_PROCESS
) -> list[tuple[Recipe, Scores]]:
    """Run the stages into folders of ``out``, each from the one before; their scores.

    Complete stages are not run again, a stopped one is resumed.
    """
    start: Path | None = None
    done: list[tuple[Recipe, Scores]] = []
    for number, recipe in enumerate(stages, 1):
        folder = out / f"{number}_{recipe.name}"
        scores = fit_once(recipe, data, folder, start=start, processes=processes)
        done.append((recipe, scores or {}))
        start = folder
    return done
