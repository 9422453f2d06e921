"""What every source is: a strict entry of a recipe that reads chips and may take a part of them."""

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from terralink.data.chips import Chips, Part
from terralink.data.strict import Strict
from terralink.data.windows import Scenes
from terralink.errors import InputError

Share = Annotated[float, Field(gt=0, le=1)]
Take = Literal["all", "kept", "held_out"]


class Split(Strict):
    """What is held out of a source: one of ``folds``, or ``held_out`` of its groups; by ``seed``.

    A group is a chip, unless the source says which chips must stay together.
    """

    folds: PositiveInt | None = None
    fold: NonNegativeInt = 0
    held_out: PositiveInt | None = None
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.folds is None) == (self.held_out is None):
            raise ValueError("say either folds or held_out")
        if self.folds is not None and not self.fold < self.folds:
            raise ValueError(f"fold {self.fold} is none of 0 to {self.folds - 1}")
        return self

    def held(self, count: int) -> list[int]:
        """Which of ``count`` groups are held out, the same for ever."""
        order = np.random.default_rng(self.seed).permutation(count)
        if self.held_out is not None:
            return sorted(order[: self.held_out].tolist())
        return sorted(np.array_split(order, self.folds or 1)[self.fold].tolist())


class Source(Strict):
    """Chips of one kind. ``take`` is the part by a split, ``fraction`` how much of it.

    The split is the source's own ``split``, or else the recipe's. Smaller fractions are parts of
    larger ones, drawn by ``fraction_seed``; at least one chip stays. ``pixel_size_m`` is the ground
    size of a pixel, where the files do not say it or are wrong. With ``rescale: false`` the chips
    are taken pixel for pixel, whatever their ground size.
    """

    take: Take = "all"
    split: Split | None = None
    fraction: Share = 1.0
    fraction_seed: NonNegativeInt = 0
    pixel_size_m: PositiveFloat | None = None
    rescale: bool = True

    @property
    def label(self) -> str:
        """The kind of the source and where it lies, for messages."""
        return " ".join(str(getattr(self, key)) for key in ("kind", "folder") if hasattr(self, key))

    @abstractmethod
    def read(self, root: Path) -> Chips:
        """Every chip, found below the data folder ``root``."""

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        """For each chip the group that a split keeps together; a group of its own unless told."""
        return range(len(chips))

    def settled(self, chips: Chips) -> Self:
        """The entry with what was measured on its ``chips`` written out: nothing, unless told."""
        del chips
        return self

    def chips(self, root: Path, split: Split | None) -> Part:
        """The chips that the entry asks for, by its own split or else by ``split``.

        Raises ``InputError`` where nothing is left.
        """
        every = self.read(root)
        indices = self._taken(every, self.split or split)
        count = -(-len(indices) * self.fraction // 1)  # upwards
        drawn = np.random.default_rng(self.fraction_seed).permutation(len(indices))[: int(count)]
        if not len(drawn):
            raise InputError(
                f"an empty split: of {len(every)} chips in {len(set(self.groups(every)))} groups "
                f"take: {self.take} leaves nothing of {self!r}"
            )
        return Part(every, [indices[place] for place in sorted(drawn.tolist())])

    def _taken(self, every: Chips, split: Split | None) -> list[int]:
        if self.take == "all":
            return list(range(len(every)))
        if split is None:
            raise InputError(
                f"take: {self.take} wants a split in the recipe or in the source, such as "
                "split: {held_out: 20}"
            )
        groups = self.groups(every)
        names = list(dict.fromkeys(groups))
        held = {names[place] for place in split.held(len(names))}
        wanted = self.take == "held_out"
        return [index for index, group in enumerate(groups) if (group in held) == wanted]


class SceneSource(Source):
    """A source whose chips are cut from scenes: those of one scene belong together."""

    def settled(self, chips: Chips) -> Self:
        """With the stretch that was measured on the scenes."""
        assert isinstance(chips, Scenes)
        measured = getattr(self, "stretch", None) == "measured"
        return self.model_copy(update={"stretch": chips.stretch}) if measured else self

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        assert isinstance(chips, Scenes)
        return chips.scenes()


def folder_of(root: Path, name: str) -> Path:
    """The folder ``name`` below the data root; one clear line when it is not there."""
    folder = root / name
    if not folder.is_dir():
        there = f"no folder {name!r} in {root}" if root.is_dir() else f"no folder {root}"
        raise InputError(f"{there}; point --data to where the sets lie")
    return folder
