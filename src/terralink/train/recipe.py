"""A recipe is data: YAML read by strict models, named, and stored in what it made.

recipe = Recipe.from_name("roads")            # shipped
recipe = Recipe.from_file("mine.yaml", {"trainer.steps": "100"})

A recipe may extend another one and say only what differs:

RULE 1: groups of keys are merged, lists are replaced.
RULE 2: ``without`` lists keys of the other that are dropped beforehand, such as ``val``; a
        validation set that is null is dropped, too.
RULE 3: what the paper reached is not passed on.
RULE 4: licence and attribution are of the data. They are passed on, and kept when keys are changed,
        while the recipe trains on the same data.
"""

import copy
import logging
import os
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from terralink import losses
from terralink.data.augment import Augment
from terralink.data.schema import StrictModel, update_names
from terralink.data.sources import AnySource, Split
from terralink.errors import RecipeError, unknown
from terralink.train.schedule import AnySchedule, Cosine, Optimizer

_log = logging.getLogger(__name__)
Changes = Mapping[str, str]  # dotted keys and values, both as they would stand in YAML


class WeightedSource(StrictModel):
    """A source and its share of the samples."""

    source: AnySource
    weight: PositiveFloat = 1.0


class Model(StrictModel):
    """The network, and what its file says of it."""

    name: str
    weights: Literal["imagenet"] | None = None
    classes: tuple[str, ...] = ("road",)
    bands: tuple[str, ...] = ("red", "green", "blue")
    pixel_size_m: PositiveFloat = 1.0


class Shifts(StrictModel):
    """Two views of each sample, moved by up to ``max_px``, are learned from and must agree.

    The views are smaller than ``augment.crop_px`` by ``max_px``. ``weight`` is that of how far
    they are apart, 0 to 1; see ``terralink.losses.regions``.
    """

    max_px: PositiveInt = 16
    weight: PositiveFloat = 1.0


class Paper(StrictModel):
    """What the paper says that this recipe reached: the place in it, and its figures."""

    where: str
    figures: dict[str, float] = Field(default_factory=dict)


class Trainer(StrictModel):
    """Length, batches and precision. An epoch is ``steps_per_epoch``, or all chips once."""

    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    batch_size: PositiveInt = 16
    steps_per_epoch: PositiveInt | None = None
    val_every_epochs: PositiveInt = 1  # last.ckpt is written after each epoch all the same
    accumulate: PositiveInt = 1  # batches a step
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: NonNegativeFloat = 0.0
    freeze_norms: bool = False  # batch norms keep the statistics that they start with
    monitor: str | None = None  # the figure by which the best checkpoint is told
    keep: Literal["last", "best"] = "last"  # which one becomes the result
    patience_epochs: PositiveInt | None = None  # stop when the figure has not risen for so long
    workers: NonNegativeInt = 1
    cache_mb: NonNegativeInt = 4096  # chips that are kept in memory; the others are read again
    seed: NonNegativeInt = 0

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("say either steps or epochs")
        if self.monitor is None and (self.keep == "best" or self.patience_epochs):
            raise ValueError("keep: best and patience_epochs want a monitor, such as val/iou")
        return self


class Recipe(StrictModel):
    """All that a run depends on, besides the data and the commit."""

    name: str
    about: str
    paper: Paper | None = None
    starts_from: str | None = None  # the recipe whose run's weights this one goes on from
    model: Model
    split: Split | None = None
    train: tuple[WeightedSource, ...] = Field(min_length=1)
    val: dict[str, AnySource]
    augment: Augment
    rescale: bool = True  # chips that know their ground size are brought to the model's
    shifts: Shifts | None = None
    loss: tuple[dict[str, Any], ...] = Field(({"name": "bce_dice"},), validate_default=True)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    schedule: AnySchedule = Cosine(kind="cosine")
    trainer: Trainer
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    tta: bool = False  # the scores at the end are of eight views
    licence: str = ""
    attribution: str = ""

    @field_validator("val", mode="before")
    @classmethod
    def _drop_null_sets(cls, config: Any) -> Any:
        """Without the sets that are null (RULE 2)."""
        if isinstance(config, dict):
            return {name: source for name, source in config.items() if source is not None}
        return {} if config is None else config

    @model_validator(mode="after")
    def _check_monitor(self) -> Self:
        name, slash, _ = (self.trainer.monitor or "").partition("/")
        if slash and name not in self.val:
            sets = ", ".join(self.val) or "none"
            raise ValueError(
                f"trainer.monitor {self.trainer.monitor!r} is a figure of no validation set; "
                f"there are: {sets}"
            )
        return self

    @field_validator("loss", mode="before")
    @classmethod
    def _to_terms(cls, config: Any) -> Any:
        """A name, one term or several are all a list of terms."""
        if isinstance(config, str):
            return ({"name": config},)
        return (config,) if isinstance(config, dict) else config

    @field_validator("loss")
    @classmethod
    def _check_loss(cls, terms: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        """Defaults written out, so that a stored recipe says all."""
        try:
            return tuple(losses.check(terms))
        except RecipeError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def from_name(cls, name: str, changes: Changes | None = None) -> "Recipe":
        """A shipped recipe by its name, or a file when ``name`` ends in .yaml."""
        return cls.from_file(_find_file(name, Path()), changes)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], changes: Changes | None = None) -> "Recipe":
        """Read YAML, change dotted keys (values are YAML too), check every key and value."""
        before = _load_yaml(Path(path), seen=())
        config = copy.deepcopy(before)
        for key, value in _parse_changes(changes or {}).items():
            _set_key(config, key, value)
        try:
            return cls.model_validate(
                _drop_terms_of_other_data(config, before, stated=changes or {})
            )
        except ValidationError as error:
            raise RecipeError(f"{path}: {summarize_error(error)}") from error

    @property
    def credits(self) -> str:
        """The attribution that is stated, else that of the published sets that it trains on."""
        of_sets = dict.fromkeys(part.source.credit for part in self.train)
        return self.attribution or "; ".join(each for each in of_sets if each)

    @property
    def rescale_to_m(self) -> float | None:
        """The ground size that chips are brought to; None where they are taken pixel for pixel.

        What is shown whole (``augment.fit: whole``) has its size from ``augment.crop_px``.
        """
        wanted = self.rescale and self.augment.fit == "crop"
        return self.model.pixel_size_m if wanted else None

    def to_yaml(self) -> str:
        """The whole recipe, defaults written out."""
        plain = self.model_dump(mode="json")
        return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def list_bundled() -> dict[str, Path]:
    """Names and files of the recipes in the package."""
    return list_yaml("recipes")


def list_yaml(folder: str) -> dict[str, Path]:
    """Names and paths of the YAML files of a folder in the package."""
    root = Path(str(resources.files("terralink.train") / folder))
    return {path.stem: path for path in sorted(root.rglob("*.yaml"))}


def _find_file(name: str, beside: Path) -> Path:
    if name.endswith((".yaml", ".yml")):
        return beside / name
    if name not in list_bundled():
        raise RecipeError(unknown("recipe", name, list_bundled()))
    return list_bundled()[name]


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a file. Raises ``RecipeError`` in one line when there are none."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"no recipe file {path}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise RecipeError(f"{path} holds no recipe: wanted keys and values")
    return config


def _parse_changes(changes: Changes) -> dict[str, Any]:
    """The changes by today's names, their values read as YAML."""
    old: set[str] = set()
    parsed = dict(update_names(key, yaml.safe_load(value), old) for key, value in changes.items())
    _warn_of_old_names("--set", old)
    return parsed


def _warn_of_old_names(where: object, old: Collection[str]) -> None:
    if old:
        _log.warning("%s: old names, read for one more release: %s", where, ", ".join(sorted(old)))


def _load_yaml(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """What stands in the file, laid over what it extends."""
    old: set[str] = set()
    config: dict[str, Any] = update_names("", read_yaml(path), old)[1]
    _warn_of_old_names(path, old)
    extended, without = config.pop("extends", None), config.pop("without", ())
    if extended is None:
        if without:
            raise RecipeError(f"{path}: without drops keys of the recipe that is extended; none is")
        return config
    base = _find_file(str(extended), path.parent)
    if path.resolve() in seen:
        raise RecipeError(f"{path} extends itself, by way of {extended}")
    below = _load_yaml(base, (*seen, path.resolve()))
    below.pop("paper", None)  # RULE 3: its figures are of that recipe alone
    base_config = copy.deepcopy(below)
    for key in [without] if isinstance(without, str) else without:
        _drop_key(base_config, update_names(str(key), None, set())[0], path)
    return _drop_terms_of_other_data(_merge(base_config, config), below, stated=config)


def _drop_key(config: dict[str, Any], dotted: str, path: Path) -> None:
    """Drop a key, such as ``val`` or ``augment.noise``."""
    *groups, last = dotted.split(".")
    group: Any = config
    for key in groups:
        group = group.get(key) if isinstance(group, dict) else None
    if not isinstance(group, dict):
        raise RecipeError(f"{path}: without {dotted}: there is no such group in what is extended")
    if last not in group:
        raise RecipeError(f"{path}: without {dotted}: {unknown('key', last, group)}")
    del group[last]


_TERMS = ("licence", "attribution")
# Published sets are what their kind says; data of one's own are told apart by where they lie.
_OWN_KINDS = ("fields", "pairs", "scenes", "tiles")
_WHERE = ("folder", "images", "labels", "masks")


def _drop_terms_of_other_data(
    config: dict[str, Any], before: Mapping[str, Any], *, stated: Mapping[str, Any]
) -> dict[str, Any]:
    """``config`` without terms that are those of the data of ``before`` (RULE 4)."""
    if _list_data(config) == _list_data(before):
        return config
    return {k: v for k, v in config.items() if k not in _TERMS or k in stated}


def _list_data(config: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """What a recipe trains on, whatever part of it; what is no recipe has none."""
    found = set()
    train = config.get("train")
    for part in train if isinstance(train, list) else ():
        source = part.get("source") if isinstance(part, dict) else None
        if isinstance(source, dict):
            kind = str(source.get("kind"))
            where = _WHERE if kind in _OWN_KINDS else ()
            found.add((kind, *(str(source.get(key)) for key in where)))
    return found


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid on ``base``, group by group; a group of another kind or name is replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict) and _same_kind(below, value):
            value = _merge(below, value)
        merged[key] = value
    return merged


def _same_kind(base: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    return all(base.get(key) == over.get(key, base.get(key)) for key in ("kind", "name"))


def _set_key(config: dict[str, Any], dotted: str, value: Any) -> None:
    """Change one key; a number is a place in a list, as in ``train.0.source.fraction``."""
    *path, last = dotted.split(".")
    group: Any = config
    for key in path:
        place = _to_index(group, key)
        group = group.get(place) if isinstance(group, dict) else group[place]
        if not isinstance(group, dict | list):
            raise RecipeError(f"cannot set {dotted}: {key!r} is no group of the recipe")
    group[_to_index(group, last)] = value


def _to_index(group: dict[str, Any] | list[Any], key: str) -> Any:
    if isinstance(group, dict):
        return key
    if not (key.isdecimal() and int(key) < len(group)):
        raise RecipeError(f"{key!r} is none of the places 0 to {len(group) - 1} in a list")
    return int(key)


def summarize_error(error: ValidationError) -> str:
    """The first mistake with its place in the recipe, and how many more there are."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}{more}" if place else f"{said}{more}"
