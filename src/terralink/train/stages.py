"""Several stages, each from the weights of the one before: noisy labels first, then clean ones.

PP-LinkNet's training (Tran et al. 2020): the first stage learns from OpenStreetMap drawn as masks,
the second goes on from its weights with labels that people made.
"""

from collections.abc import Sequence
from pathlib import Path

from terralink.errors import RecipeError
from terralink.train.folder import Scores, check_member, finished
from terralink.train.loop import ONE, Processes, fit
from terralink.train.recipe import Changes, Recipe


def chain(name: str, changes: Changes | None = None) -> list[Recipe]:
    """The recipe ``name`` and all that it starts from, the first stage first.

    ``changes`` are made to each of them. Raises ``RecipeError`` when the stages go in a circle.
    """
    stages = [Recipe.named(name, changes)]
    while before := stages[0].starts_from:
        first = Recipe.named(before, changes)
        if first in stages:
            raise RecipeError(f"the stages of {name!r} go in a circle, by way of {before!r}")
        stages.insert(0, first)
    return stages


def fit_stages(
    stages: Sequence[Recipe], data: Path, out: Path, *, processes: Processes = ONE
) -> list[tuple[Recipe, Scores]]:
    """Run the stages into folders of ``out``, each from the one before; their scores.

    Stages that came to their end are not run again, one that was stopped goes on.
    """
    start: Path | None = None
    done: list[tuple[Recipe, Scores]] = []
    for number, recipe in enumerate(stages, 1):
        folder = out / f"{number}_{recipe.name}"
        scores = finished(folder)
        if scores is None:
            scores = fit(recipe, data, folder, start=start, resume=True, processes=processes)
        else:
            check_member(recipe, folder)
        done.append((recipe, scores or {}))
        start = folder
    return done
