"""The loaders of a run, and how many steps it has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from terralink.data.cache import Cached
from terralink.data.classes import Checked
from terralink.data.samples import EpochSampler, Samples, Whole
from terralink.data.signal import with_signal
from terralink.errors import RecipeError
from terralink.train.recipe import Recipe

Batch = dict[str, Any]


class Batches:
    """Batches of ``recipe`` from the sets below ``data``, for each of ``processes``.

    The recipe's batch size is that of all processes together, so that their number changes
    neither the steps nor what is learned.
    """

    def __init__(self, recipe: Recipe, data: Path, *, processes: int = 1):
        self.recipe = recipe
        wanted = recipe.trainer
        if wanted.batch_size % processes:
            raise RecipeError(
                f"trainer.batch_size {wanted.batch_size} cannot be shared by {processes} processes"
            )
        self.processes = processes
        # Read before the workers start: they share what is kept with this process.
        classes = max(2, len(recipe.model.classes))
        sources = [part.source.chips(data, recipe.split) for part in recipe.train]
        self.sources = [
            Cached.within(wanted.cache_mb / len(sources), Checked(each, classes))
            for each in sources
        ]
        held_out = [
            with_signal(Checked(each.chips(data, recipe.split), classes))
            for each in recipe.val.values()
        ]
        self.held_out = [chips for chips, _ in held_out]
        self.left_out = [
            *(name for source in self.sources for name in source.left_out),
            *(name for _, names in held_out for name in names),
        ]
        self.step_size = wanted.batch_size * wanted.accumulate
        chips = sum(map(len, self.sources))
        self.steps_per_epoch = wanted.steps_per_epoch or -(-chips // self.step_size)
        self.steps = wanted.steps or (wanted.epochs or 1) * self.steps_per_epoch

    def train(self, step: Callable[[], int]) -> DataLoader[Batch]:
        """Augmented samples, from the one that comes after ``step`` steps on."""
        wanted = self.recipe.trainer
        samples = Samples(
            self.sources,
            [part.weight for part in self.recipe.train],
            self.recipe.augment,
            wanted.seed,
            pixel_size_m=self.recipe.model.pixel_size_m if self.recipe.rescale else None,
            passes=wanted.epochs is not None,
        )
        size = self.steps_per_epoch * self.step_size
        return DataLoader(
            samples,
            batch_size=wanted.batch_size // self.processes,
            sampler=EpochSampler(size, lambda: step() * self.step_size),
            num_workers=wanted.workers,
            persistent_workers=wanted.workers > 0,
        )

    def val(self) -> list[DataLoader[Batch]]:
        """Whole chips of each validation set, one at a time, since they may differ in size."""
        return [DataLoader(Whole(chips), batch_size=1) for chips in self.held_out]
