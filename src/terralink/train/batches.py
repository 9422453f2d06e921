"""The loaders of a run, and how many steps it has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from terralink.data.cache import Cached
from terralink.data.samples import EpochSampler, Samples, Whole
from terralink.train.recipe import Recipe

Batch = dict[str, Any]


class Batches:
    """Training and validation batches of ``recipe`` from the sets below ``data``."""

    def __init__(self, recipe: Recipe, data: Path):
        self.recipe = recipe
        wanted = recipe.trainer
        # Read before the workers start: they share what is kept with this process.
        sources = [part.source.chips(data, recipe.split) for part in recipe.train]
        self.sources = [Cached.within(wanted.cache_mb / len(sources), each) for each in sources]
        self.held_out = [each.chips(data, recipe.split) for each in recipe.val.values()]
        self.batch = wanted.batch_size * wanted.accumulate
        chips = sum(map(len, self.sources))
        self.steps_per_epoch = wanted.steps_per_epoch or -(-chips // self.batch)
        self.steps = wanted.steps or (wanted.epochs or 1) * self.steps_per_epoch

    def train(self, step: Callable[[], int]) -> DataLoader[Batch]:
        """Augmented samples, from the one that comes after ``step`` steps on."""
        wanted = self.recipe.trainer
        weights = [part.weight for part in self.recipe.train]
        return DataLoader(
            Samples(self.sources, weights, self.recipe.augment, wanted.seed),
            batch_size=wanted.batch_size,
            sampler=EpochSampler(self.steps_per_epoch * self.batch, lambda: step() * self.batch),
            num_workers=wanted.workers,
            persistent_workers=wanted.workers > 0,
        )

    def val(self) -> list[DataLoader[Batch]]:
        """Whole chips of each validation set, one at a time, since they may differ in size."""
        return [DataLoader(Whole(chips), batch_size=1) for chips in self.held_out]
