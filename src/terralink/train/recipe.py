"""A recipe is data: YAML read by strict models, named, and stored in what it made.

recipe = Recipe.named("roads")            # shipped
recipe = Recipe.from_file("mine.yaml", {"trainer.steps": "100"})
"""

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from terralink.data import datasets
from terralink.data.augment import Augment
from terralink.data.chips import Chips, Part, split
from terralink.errors import RecipeError, unknown


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Massachusetts(_Strict):
    """``held_out`` chips of train, drawn by seed 0, are the part ``tune``: for choosing."""

    kind: Literal["massachusetts"]
    part: Literal["train", "tune", "val"]
    held_out: int = 0
    folder: str = "massachusetts"

    def chips(self, root: Path) -> Chips:
        folder = datasets.folder_of(root, self.folder)
        if self.part == "val":
            return datasets.massachusetts(folder, "val")
        every = datasets.massachusetts(folder, "train")
        kept, tune = split(len(every), held_out=self.held_out, seed=0)
        return Part(every, kept if self.part == "train" else tune)


class Dubai(_Strict):
    """The road class of some of the tiles 1 to 6."""

    kind: Literal["dubai"]
    tiles: tuple[int, ...]
    folder: str = "dubai"

    def chips(self, root: Path) -> Chips:
        return datasets.dubai_roads(datasets.folder_of(root, self.folder), self.tiles)


class Towns(_Strict):
    """Drawn towns; they need no data folder."""

    kind: Literal["towns"]
    count: PositiveInt
    side_px: PositiveInt = 512
    pixel_sizes_m: tuple[float, float] = (0.5, 1.0)
    seed: int = 0

    def chips(self, _root: Path) -> Chips:
        return datasets.Towns(self.count, self.side_px, self.pixel_sizes_m, self.seed)


Source = Annotated[Massachusetts | Dubai | Towns, Field(discriminator="kind")]


class Weighted(_Strict):
    """A source and its share of the samples."""

    source: Source
    weight: PositiveFloat


class Model(_Strict):
    """The network, and what its file says of it."""

    name: str
    weights: Literal["imagenet"] | None = None
    classes: tuple[str, ...] = ("road",)
    pixel_size_m: PositiveFloat = 1.0


class Optimizer(_Strict):
    """AdamW with a linear warm-up and a cosine down to zero."""

    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 0


class Trainer(_Strict):
    steps: PositiveInt
    batch_size: PositiveInt = 16
    steps_per_epoch: PositiveInt = 100
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    ema_decay: float = 0.0
    clip_norm: float = 0.0
    workers: int = 1
    seed: int = 0


class Recipe(_Strict):
    """All that a run depends on, besides the data and the commit."""

    name: str
    about: str
    starts_from: str | None = None  # the recipe whose run's weights this one goes on from
    model: Model
    train: tuple[Weighted, ...]
    val: dict[str, Source]
    augment: Augment
    loss: str = "bce_dice"
    optimizer: Optimizer = Optimizer()
    trainer: Trainer
    threshold: float = 0.5
    licence: str = ""
    attribution: str = ""

    @classmethod
    def named(cls, name: str, changes: Mapping[str, str] | None = None) -> "Recipe":
        """A shipped recipe by its name, or a file when ``name`` ends in .yaml."""
        if name.endswith((".yaml", ".yml")):
            return cls.from_file(name, changes)
        if name not in shipped():
            raise RecipeError(unknown("recipe", name, shipped()))
        return cls.from_file(shipped()[name], changes)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], changes: Mapping[str, str] | None = None
    ) -> "Recipe":
        """Read YAML, change dotted keys (values are YAML too), check every key and value."""
        try:
            written = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecipeError(f"no recipe file {path}") from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(written, dict):
            raise RecipeError(f"{path} holds no recipe: wanted keys and values")
        for key, value in (changes or {}).items():
            _set(written, key, yaml.safe_load(value))
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            raise RecipeError(f"{path}: {place}: {first['msg']}{more}") from error

    def to_yaml(self) -> str:
        """The whole recipe, defaults written out."""
        plain = self.model_dump(mode="json")
        return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def shipped() -> dict[str, Path]:
    """Names and files of the recipes in the package."""
    folder = Path(str(resources.files("terralink.train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _set(written: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        if not isinstance(written.get(key), dict):
            raise RecipeError(f"cannot set {dotted}: {key!r} is no group of the recipe")
        written = written[key]
    written[last] = value
