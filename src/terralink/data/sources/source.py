"""The base of all sources: an entry of a recipe that reads chips and may take a part of them."""

import logging
from abc import abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import numpy as np
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
)

from terralink.data.chips import Chips, Subset
from terralink.data.schema import StrictModel
from terralink.data.splits import Footprint, Split, find_overlaps, order_along, separate
from terralink.data.windows import Scenes
from terralink.errors import InputError
from terralink.raster import Stretch

_log = logging.getLogger(__name__)
T = TypeVar("T")
Share = Annotated[float, Field(gt=0, le=1)]
Take = Literal["all", "train", "val"]


class Source(StrictModel):
    """Chips of one kind. ``take`` is the part by a split, ``fraction`` how much of it.

    The split is the source's own ``split``, or else the recipe's. Smaller fractions are parts of
    larger ones, drawn by ``fraction_seed``; at least one chip stays. ``pixel_size_m`` is the ground
    size of a pixel, where the files do not say it or are wrong. With ``rescale: false`` the chips
    are taken pixel for pixel, whatever their ground size.
    """

    # Whom a published set is to be credited to; None where nobody but its owner knows.
    credit: ClassVar[str | None] = None

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

    def bands_hint(self, wanted: Sequence[str]) -> str:
        """What to do where the images do not have the bands of a model."""
        some = list(range(1, len(wanted) + 1))
        if "bands" in type(self).model_fields:
            return (
                f"choose bands: {some} in the source, or name others in model.bands (a band that "
                "is tagged as alpha is not read: gdal_edit.py -colorinterp_4 undefined FILE)"
            )
        return (
            f"{self.label} is read as red, green and blue: name these in model.bands, or read the "
            f"images with kind: scenes and bands: {some}"
        )

    @abstractmethod
    def read(self, root: Path) -> Chips:
        """Every chip, found below the data folder ``root``."""

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        """For each chip the group that a split keeps together; a group of its own unless told."""
        return range(len(chips))

    def footprints(self, chips: Chips) -> Sequence[Footprint]:
        """Where each chip lies, of chips that may share ground and are split one by one."""
        del chips
        return ()

    def resolve(self, chips: Chips) -> Self:
        """The entry with what was measured on its ``chips`` written out: nothing, unless told."""
        del chips
        return self

    def chips(self, root: Path, split: Split | None) -> Subset:
        """The chips that the entry asks for, by its own split or else by ``split``.

        Raises ``InputError`` where nothing is left.
        """
        available = self.read(root)
        indices = self._select(available, self.split or split)
        count = int(-(-len(indices) * self.fraction // 1))  # rounded up
        chosen = np.random.default_rng(self.fraction_seed).permutation(len(indices))[:count]
        if not len(chosen):
            groups = len(set(self.groups(available)))
            apart = (
                " that shares no pixel with validation chips" if self.footprints(available) else ""
            )
            raise InputError(
                f"an empty split: of {len(available)} chips in {groups} groups "
                f"take: {self.take} leaves nothing of {self!r}{apart}"
            )
        return Subset(available, [indices[position] for position in sorted(chosen.tolist())])

    def _select(self, available: Chips, split: Split | None) -> list[int]:
        if self.take == "all":
            return list(range(len(available)))
        if split is None:
            raise InputError(
                f"take: {self.take} wants a split in the recipe or in the source, such as "
                "split: {held_out: 20}"
            )
        groups, footprints = self.groups(available), self.footprints(available)
        if near := find_overlaps(footprints, groups):
            order = order_along(footprints, split.seed)
            piece = set(split.choose_from(list(dict.fromkeys(groups[each] for each in order))))
            chosen = [each for each in order if groups[each] in piece]
            train, val_part = separate(chosen, len(available), near)
            self._warn_of_excluded(len(available) - len(train) - len(val_part))
            return train if self.take == "train" else val_part
        names = list(dict.fromkeys(groups))
        val = {names[place] for place in split.choose_val(len(names))}
        wanted = self.take == "val"
        return [index for index, group in enumerate(groups) if (group in val) == wanted]

    def _warn_of_excluded(self, count: int) -> None:
        if count and self.take == "train":
            _log.warning(
                "%s: %d chips share pixels with held-out ones, and are neither trained on nor "
                "scored",
                *(self.label, count),
            )


class SceneSource(Source):
    """A source whose chips are cut from scenes: those of one scene belong together."""

    def resolve(self, chips: Chips) -> Self:
        """With the stretch that was measured on the scenes."""
        assert isinstance(chips, Scenes)
        measured = getattr(self, "stretch", None) == "measured"
        return self.model_copy(update={"stretch": chips.stretch}) if measured else self

    def groups(self, chips: Chips) -> Sequence[Hashable]:
        assert isinstance(chips, Scenes)
        return chips.list_scenes()


def find_folder(root: Path, name: str) -> Path:
    """The folder ``name`` below the data root; one clear line when it is not there."""
    folder = root / name
    if not folder.is_dir():
        where = f"no folder {name!r} in {root}" if root.is_dir() else f"no folder {root}"
        raise InputError(f"{where}; point --data to where the sets lie")
    return folder


def _read(written: Any) -> Any:
    """``none``, or three lists (low, middle, high) as a run that measured one recorded it."""
    if written == "none":
        return Stretch.none()
    if isinstance(written, dict):
        wrong = set(written) ^ {"low", "middle", "high"}
        if wrong:
            raise ValueError(
                f"a stretch has low, middle and high; {', '.join(sorted(wrong))} differ"
            )
        return Stretch(**{name: tuple(map(float, bounds)) for name, bounds in written.items()})
    return written


def serialize_stretch(stretch: Any) -> Any:
    """As a recipe has it."""
    if not isinstance(stretch, Stretch):
        return stretch
    if stretch == Stretch.none():
        return "none"
    return {name: list(getattr(stretch, name)) for name in ("low", "middle", "high")}


StretchSetting = Annotated[
    Literal["measured"] | Stretch, BeforeValidator(_read), PlainSerializer(serialize_stretch)
]
