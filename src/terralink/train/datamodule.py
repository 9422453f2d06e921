"""The data of a run: training samples, validation chips, and the number of steps.

Chips are resampled to the ground size of the model, to train, to validate and to score alike,
unless the recipe or a source of it says ``rescale: false``. A training sample is a function of
(seed, index): so the order does not depend on the number of workers, and a run that is resumed
draws the samples that it would have drawn.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from terralink.data.augment import Augment
from terralink.data.chips import IGNORE, Chip, Chips, Subset
from terralink.data.prepare import (
    CachedChips,
    ResampledChips,
    ValidatedChips,
    select_informative,
    zoom,
)
from terralink.data.sources import Source
from terralink.errors import InputError, RecipeError
from terralink.train.recipe import Recipe

Batch = dict[str, Any]
_log = logging.getLogger(__name__)


class DataModule:
    """Batches of ``recipe`` from the sets below ``data``, for each of ``processes``.

    The recipe's batch size is that of all processes together, so that their number changes
    neither the steps nor what is learned. Its ``recipe`` says what was measured on the chips, too.
    """

    def __init__(self, recipe: Recipe, data: Path, *, processes: int = 1):
        config = recipe.trainer
        if config.batch_size % processes:
            raise RecipeError(
                f"trainer.batch_size {config.batch_size} cannot be shared by {processes} processes"
            )
        self.processes = processes
        # Read before the workers start: they share what is kept with this process.
        train = [part.source.chips(data, recipe.split) for part in recipe.train]
        val = [source.chips(data, recipe.split) for source in recipe.val.values()]
        self.recipe = _resolve(recipe, train, val)
        self.sources = [
            CachedChips.read_up_to(
                config.cache_mb / len(train), prepare_chips(recipe, part.source, chips)
            )
            for part, chips in zip(recipe.train, train, strict=True)
        ]
        for part, source in zip(recipe.train, self.sources, strict=True):
            _warn_of_sizes(recipe, part.source, source)
            _warn_of_background(part.source, source)
        val_chips = [
            select_informative(prepare_chips(recipe, source, chips, enlarge=True))
            for source, chips in zip(recipe.val.values(), val, strict=True)
        ]
        self.val_chips = [chips for chips, _ in val_chips]
        self.left_out = [
            *(name for source in self.sources for name in source.left_out),
            *(name for _, names in val_chips for name in names),
        ]
        self.samples_per_step = config.batch_size * config.accumulate
        chips = sum(map(len, self.sources))
        self.steps_per_epoch = config.steps_per_epoch or -(-chips // self.samples_per_step)
        self.steps = config.steps or (config.epochs or 1) * self.steps_per_epoch

    def train(self, step: Callable[[], int]) -> DataLoader[Batch]:
        """Augmented samples, from the one that comes after ``step`` steps on."""
        config = self.recipe.trainer
        samples = TrainDataset(
            self.sources,
            [part.weight for part in self.recipe.train],
            self.recipe.augment,
            config.seed,
            pixel_size_m=self.recipe.rescale_to_m,
            passes=config.epochs is not None,
        )
        size = self.steps_per_epoch * self.samples_per_step
        return DataLoader(
            samples,
            batch_size=config.batch_size // self.processes,
            sampler=EpochSampler(size, lambda: step() * self.samples_per_step),
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
        )

    def val(self) -> list[DataLoader[Batch]]:
        """Whole chips of each validation set, one at a time, since they may differ in size."""
        return [DataLoader(ValDataset(chips), batch_size=1) for chips in self.val_chips]


def prepare_chips(recipe: Recipe, source: Source, chips: Chips, *, enlarge: bool = False) -> Chips:
    """Chips of a source as the recipe's network takes them; each is looked at as it is read.

    Without ``enlarge`` those that are coarser than the model stay so: the warp of a sample does it.
    """
    size_m = recipe.rescale_to_m if source.rescale else None
    scaled = ResampledChips(chips, size_m, source.pixel_size_m, enlarge)
    config = recipe.model
    return ValidatedChips(
        scaled, len(config.classes), config.bands, source.bands_hint(config.bands)
    )


def _warn_of_sizes(recipe: Recipe, source: Source, chips: CachedChips) -> None:
    """Say which chips do not know their ground size, and which are smaller than a sample."""
    samples_seen = chips.in_memory or [chips[0]]
    size_m = recipe.rescale_to_m if source.rescale else None
    unknown = [chip for chip in samples_seen if chip.pixel_size_m is None]
    if unknown and size_m is not None:
        _log.warning(
            "%s: %d of %d chips do not say their ground size, such as %s: their pixels are taken "
            "for %g m, as the model's; state pixel_size_m in the source where it is known",
            *(source.label, len(unknown), len(samples_seen), unknown[0].name, size_m),
        )
    crop_px = recipe.augment.crop_px
    small = [chip for chip in samples_seen if min(_rescaled_shape(chip, size_m)) < crop_px]
    if small and recipe.augment.fit == "crop":
        height, width = _rescaled_shape(small[0], size_m)
        _log.warning(
            "%s: %d of %d chips are smaller than augment.crop_px of %d, such as %s with %d x %d px"
            "%s: what lies beyond is mirrored; take a smaller crop_px, or larger chips",
            *(source.label, len(small), len(samples_seen), crop_px, small[0].name, width, height),
            f" at {size_m:g} m" if size_m and small[0].pixel_size_m else "",
        )


def _warn_of_background(source: Source, chips: CachedChips) -> None:
    if chips.in_memory and not any(
        ((chip.mask > 0) & (chip.mask < IGNORE)).any() for chip in chips.in_memory
    ):
        _log.warning(
            "%s: none of the %d chips that were read has a class but 0: are the masks the right "
            "ones, and their values?",
            *(source.label, len(chips.in_memory)),
        )


def _rescaled_shape(chip: Chip, size_m: float | None) -> tuple[int, int]:
    """(height, width) of a chip at the ground size of the model."""
    across, down = zoom(chip, size_m)
    height, width = chip.mask.shape
    return round(height * down), round(width * across)


def _resolve(recipe: Recipe, train: Sequence[Subset], val: Sequence[Subset]) -> Recipe:
    """The recipe with what was measured on its chips written out."""
    learned = tuple(
        each.model_copy(update={"source": each.source.resolve(part.chips)})
        for each, part in zip(recipe.train, train, strict=True)
    )
    scored = {
        name: source.resolve(part.chips)
        for (name, source), part in zip(recipe.val.items(), val, strict=True)
    }
    return recipe.model_copy(update={"train": learned, "val": scored})


@dataclass(frozen=True, eq=False)
class TrainDataset(Dataset[dict[str, Any]]):
    """Draws a source by weight, a chip of it evenly, and augments it.

    With ``passes`` every chip comes once before any comes again, in an order that is shuffled anew
    for each pass; weights then count for nothing.

    A source may be a list, or read each chip from disk when it is asked for: only the chip that was
    drawn is read. Chips that know their ground size are scaled to ``pixel_size_m``, where given.
    A sample is image (C, H, W), mask (H, W) and the chip's name.
    """

    sources: Sequence[Chips]
    weights: Sequence[float]
    augment: Augment
    seed: int
    pixel_size_m: float | None = None
    passes: bool = False

    def __post_init__(self) -> None:
        if len(self.sources) != len(self.weights) or not self.sources:
            raise InputError(
                f"wanted a weight for each source, got {len(self.weights)} for {len(self.sources)}"
            )
        for source in self.sources:
            if not len(source):
                raise InputError(f"an empty split cannot be trained on: {source}")

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, index))
        chip = self._pick_in_pass(index) if self.passes else self._draw_chip(rng)
        image, mask = self.augment(chip, rng, zoom=zoom(chip, self.pixel_size_m))
        return {"image": image, "mask": mask, "name": chip.name}

    def _draw_chip(self, rng: np.random.Generator) -> Chip:
        shares = np.asarray(self.weights) / sum(self.weights)
        source = self.sources[rng.choice(len(self.sources), p=shares)]
        return source[int(rng.integers(len(source)))]

    def _pick_in_pass(self, index: int) -> Chip:
        ends = np.cumsum([len(source) for source in self.sources])
        done, place = divmod(index, int(ends[-1]))
        order = np.random.default_rng((self.seed, done)).permutation(ends[-1])
        number = int(np.searchsorted(ends, order[place], side="right"))
        return self.sources[number][int(order[place] - ends[number])]


@dataclass(eq=False)
class EpochSampler(Sampler[int]):
    """The next ``size`` indices after those that were ``samples_seen``, asked when an epoch begins.

    So a run that is resumed draws on, whatever the loop believes its epoch to be. Of several
    processes each takes its turn, so that together they draw what one alone would.
    """

    size: int
    samples_seen: Callable[[], int]

    def __len__(self) -> int:
        return self.size // _rank_and_count()[1]

    def __iter__(self) -> Iterator[int]:
        first = self.samples_seen()
        rank, processes = _rank_and_count()
        return iter(range(first + rank, first + self.size, processes))


def _rank_and_count() -> tuple[int, int]:
    """The number of this process and how many train together."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


class ValDataset(Dataset[dict[str, Any]]):
    """Whole chips, not augmented, for validation: image (C, H, W), mask (H, W)."""

    def __init__(self, chips: Chips):
        self.chips = chips

    def __len__(self) -> int:
        return len(self.chips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        chip = self.chips[index]
        return {"image": chip.image.astype(np.float32), "mask": chip.mask}
