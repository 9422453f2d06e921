"""Several networks as one: the weighted mean of their probabilities.

    ensemble = Ensemble.from_name("dlinknet_ensemble_of_two")
    fit_ensemble(ensemble, data, out)        # each member into out/MEMBER, then all together

An ensemble is YAML, too. Members that came to their end are not run again, so they may be trained
one by one, each with the settings that its machine wants, into the folders that are looked for.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml
from pydantic import Field, PositiveFloat, ValidationError
from torch import Tensor, nn
from torch.utils.data import DataLoader

from terralink.atomic_write import write_atomically
from terralink.data.chips import Chips
from terralink.data.schema import StrictModel
from terralink.data.sources import Source
from terralink.errors import OutputError, RecipeError, unknown
from terralink.models import pretrained
from terralink.models.network import Normalization, NormalizedNetwork
from terralink.train.datamodule import ValDataset, prepare_chips
from terralink.train.loop import SINGLE_PROCESS, Processes
from terralink.train.multirun import fit_once
from terralink.train.recipe import Changes, Paper, Recipe, list_yaml, read_yaml, summarize_error
from terralink.train.run_folder import Scores, read_scores, write_scores
from terralink.train.task import probabilities, scores

_LEAST = 1e-7  # a probability nearer to 0 or 1 has no logit in float32
_YAML = (".yaml", ".yml")
_ENSEMBLE = "ensemble.yaml"


class Ensemble(StrictModel):
    """``members`` are recipes, by name or file, and their weights.

    The scores are those of the mean over ``threshold``, with ``tta`` in eight views.
    """

    name: str
    about: str
    paper: Paper | None = None
    members: Annotated[dict[str, PositiveFloat], Field(min_length=2)]
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    tta: bool = False

    @classmethod
    def from_name(cls, name: str) -> "Ensemble":
        """A shipped ensemble by its name, or a file when ``name`` ends in .yaml."""
        if name.endswith(_YAML):
            return cls.from_file(name)
        if name not in list_bundled():
            raise RecipeError(unknown("ensemble", name, list_bundled()))
        return cls.from_file(list_bundled()[name])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "Ensemble":
        """Read YAML and check every key and value; members that are files lie beside it."""
        config = read_yaml(Path(path))
        try:
            ensemble = cls.model_validate(config)
        except ValidationError as error:
            raise RecipeError(f"{path}: {summarize_error(error)}") from error
        beside = Path(path).parent
        members = {
            str(beside / member) if member.endswith(_YAML) else member: weight
            for member, weight in ensemble.members.items()
        }
        return ensemble.model_copy(update={"members": members})

    def recipes(self, changes: Changes | None = None) -> list[Recipe]:
        """The members' recipes, ``changes`` made to each.

        Raises ``RecipeError`` for members that cannot stand together.
        """
        recipes = [Recipe.from_name(member, changes) for member in self.members]
        for number, recipe in enumerate(recipes):
            if wrong := _find_conflict(recipe, recipes[:number]):
                raise RecipeError(f"ensemble {self.name!r}: {wrong}")
        return recipes

    def to_yaml(self) -> str:
        """The whole ensemble, defaults written out."""
        plain = self.model_dump(mode="json")
        return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


class MeanNetwork(nn.Module):
    """Networks (N, C, H, W) -> (N, K, H, W) as one, whose logits are those of their mean."""

    def __init__(self, networks: Sequence[nn.Module], weights: Sequence[float]):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.shares = [weight / sum(weights) for weight in weights]

    def forward(self, image: Tensor) -> Tensor:
        parts = zip(self.shares, self.networks, strict=True)
        prob = torch.stack([share * probabilities(net(image).float()) for share, net in parts])
        mean = prob.sum(0)
        return torch.logit(mean, eps=_LEAST) if mean.shape[1] == 1 else mean.clamp(_LEAST).log()


def list_bundled() -> dict[str, Path]:
    """Names and files of the ensembles in the package."""
    return list_yaml("ensembles")


def is_ensemble(name: str) -> bool:
    """Whether ``name`` is a shipped ensemble, or a file that has members."""
    if name.endswith(_YAML) and Path(name).is_file():
        return "members" in read_yaml(Path(name))
    return name in list_bundled()


def fit_ensemble(
    ensemble: Ensemble,
    data: Path,
    out: Path,
    *,
    changes: Changes | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> Scores | None:
    """Train each member into a folder of ``out`` that has its name; the scores of all together.

    ``changes`` are made to each member's recipe. Members that came to their end are not run again,
    one that was stopped goes on. ``out`` gets ensemble.yaml and scores.json, of the validation sets
    that the members have in common. Of several processes only the first returns scores.

    Raises ``RecipeError`` before anything is trained where members do not go together.
    """
    recipes = ensemble.recipes(changes)
    folders = [out / recipe.name for recipe in recipes]
    if (scores_before := _read_earlier_scores(ensemble, out)) is not None:
        return scores_before
    val_loaders = _val_loaders(ensemble, recipes, data)
    done = [
        fit_once(recipe, data, folder, processes=processes)
        for recipe, folder in zip(recipes, folders, strict=True)
    ]
    if None in done:  # not the first process
        return None
    with write_atomically(out / _ENSEMBLE) as part:
        part.write_text(ensemble.to_yaml(), encoding="utf-8")
    mean = _load_mean(folders, list(ensemble.members.values()))
    found = scores(mean, val_loaders, threshold=ensemble.threshold, tta=ensemble.tta)
    write_scores(out, found)
    return found


def _read_earlier_scores(ensemble: Ensemble, out: Path) -> Scores | None:
    """The scores of an ensemble that came to its end in ``out``; of another one, it is refused."""
    if (found := read_scores(out)) is not None and (out / _ENSEMBLE).exists():
        stored = (out / _ENSEMBLE).read_text(encoding="utf-8")
        if stored != ensemble.to_yaml():
            raise OutputError(f"{out} holds another ensemble, which is done: choose another --out")
        return found
    return None


def _find_conflict(recipe: Recipe, others: Sequence[Recipe]) -> str | None:
    """Why a member cannot stand beside the ones before it."""
    if recipe.starts_from:
        return f"{recipe.name!r} goes on from {recipe.starts_from!r}; members have one stage"
    if recipe.name in [other.name for other in others]:
        return f"two members have the name {recipe.name!r}, and so one folder"
    for what in ("classes", "bands", "pixel_size_m"):
        if others and getattr(recipe.model, what) != getattr(others[0].model, what):
            return f"{others[0].name!r} and {recipe.name!r} have other {what}; take the same"
    return None


def _val_loaders(
    ensemble: Ensemble, recipes: Sequence[Recipe], data: Path
) -> dict[str, DataLoader[dict[str, Any]]]:
    """Whole chips of the validation sets that are the same in all recipes, by name."""
    first, *others = recipes
    common = {
        name: source
        for name, source in first.val.items()
        if all(
            (each.val.get(name), each.split, each.rescale_to_m)
            == (source, first.split, first.rescale_to_m)
            for each in others
        )
    }
    if not common:
        raise RecipeError(
            f"ensemble {ensemble.name!r}: its members have no validation set in common; give them "
            "one of the same name, source and split"
        )
    return {
        name: DataLoader(ValDataset(_val_chips(first, source, data)), batch_size=1)
        for name, source in common.items()
    }


def _val_chips(recipe: Recipe, source: Source, data: Path) -> Chips:
    """The chips of a validation set, as each member is scored on it."""
    return prepare_chips(recipe, source, source.chips(data, recipe.split), enlarge=True)


def _load_mean(folders: Sequence[Path], weights: Sequence[float]) -> MeanNetwork:
    """The networks of runs, ready to be scored, on the GPU where there is one."""
    networks = []
    for folder in folders:
        network, config = pretrained.load(folder)
        normalization = Normalization.of(config)
        networks.append(
            NormalizedNetwork(network, in_channels=network.in_channels, normalization=normalization)
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return MeanNetwork(networks, weights).to(device).eval()
