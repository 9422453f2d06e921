"""The loaders of a run, and how many steps it has."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from terralink.data.cache import Cached
from terralink.data.chips import Part
from terralink.data.classes import Checked
from terralink.data.samples import EpochSampler, Samples, Whole
from terralink.data.signal import with_signal
from terralink.errors import RecipeError
from terralink.train.recipe import Recipe

Batch = dict[str, Any]


class Batches:
    """Batches of ``recipe`` from the sets below ``data``, for each of ``processes``.

    The recipe's batch size is that of all processes together, so that their number changes
    neither the steps nor what is learned. Its ``recipe`` says what was measured on the chips, too.
    """

    def __init__(self, recipe: Recipe, data: Path, *, processes: int = 1):
        wanted = recipe.trainer
        if wanted.batch_size % processes:
            raise RecipeError(
                f"trainer.batch_size {wanted.batch_size} cannot be shared by {processes} processes"
            )
        self.processes = processes
        # Read before the workers start: they share what is kept with this process.
        classes = max(2, len(recipe.model.classes))
        train = [part.source.chips(data, recipe.split) for part in recipe.train]
        val = [source.chips(data, recipe.split) for source in recipe.val.values()]
        self.recipe = _settled(recipe, train, val)
        self.sources = [
            Cached.within(wanted.cache_mb / len(train), Checked(each, classes)) for each in train
        ]
        held_out = [with_signal(Checked(each, classes)) for each in val]
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


def _settled(recipe: Recipe, train: Sequence[Part], val: Sequence[Part]) -> Recipe:
    """The recipe with what was measured on its chips written out."""
    learned = tuple(
        each.model_copy(update={"source": each.source.settled(part.chips)})
        for each, part in zip(recipe.train, train, strict=True)
    )
    scored = {
        name: source.settled(part.chips)
        for (name, source), part in zip(recipe.val.items(), val, strict=True)
    }
    return recipe.model_copy(update={"train": learned, "val": scored})
