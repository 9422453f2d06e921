"""From a recipe to a run folder: checkpoints, curves, and the network that came out."""

import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from terralink import __version__
from terralink.data.chips import Chip, Chips
from terralink.data.samples import EpochSampler, Samples, Whole
from terralink.errors import RecipeError
from terralink.export import Metadata
from terralink.models import pretrained
from terralink.models.normalised import IMAGENET
from terralink.train.recipe import Recipe
from terralink.train.task import Segmentation


def fit(
    recipe: Recipe, data: Path, out: Path, *, start: Path | None = None, resume: bool = False
) -> dict[str, float]:
    """Train ``recipe`` on the sets below ``data`` into the folder ``out``; the last figures.

    ``start`` is the folder of a run to go on from, with its weights and nothing else of it.
    ``out`` gets recipe.yaml, the figures of each start in log/, last.ckpt (to resume from),
    model.safetensors and config.json (the result, with averaged weights when the recipe asks).
    """
    if recipe.starts_from and not start:
        raise RecipeError(
            f"recipe {recipe.name!r} goes on from a run of {recipe.starts_from!r}; "
            "name its folder with --start"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    L.seed_everything(recipe.trainer.seed, verbose=False)
    task = Segmentation(recipe)
    if start:
        pretrained.fill(task.network.network, start)
    last = out / "last.ckpt"
    with warnings.catch_warnings():
        # Lightning's advice on workers and folders, and its own use of torch's old names.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(recipe, out)
        trainer.fit(
            task,
            _train_loader(recipe, data, lambda: trainer.global_step),
            _val_loaders(recipe, data),
            ckpt_path=last if resume and last.exists() else None,
            weights_only=True,
        )
    save(task, out)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def save(task: Segmentation, out: Path) -> None:
    """The network alone, and its card, as ``terralink export`` takes them."""
    recipe = task.recipe
    card = Metadata(
        name=recipe.name,
        about=recipe.about,
        network=recipe.model.name,
        classes=recipe.model.classes,
        pixel_size_m=recipe.model.pixel_size_m,
        threshold=recipe.threshold,
        licence=recipe.licence,
        attribution=recipe.attribution,
        recipe=recipe.to_yaml(),
        commit=_commit(),
    )
    network = {"name": recipe.model.name, "num_classes": len(recipe.model.classes)}
    config = {
        "network": network,
        "levels": IMAGENET.as_config(),
        "card": card.model_dump(mode="json"),
    }
    pretrained.save(task.network.network, out, config)


def _commit() -> str:
    """The commit of the source tree that runs, or the version of the package."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"terralink {__version__}"


def _trainer(recipe: Recipe, out: Path) -> L.Trainer:
    wanted = recipe.trainer
    callbacks: list[L.Callback] = [ModelCheckpoint(out, "last", enable_version_counter=False)]
    if wanted.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=wanted.ema_decay, use_buffers=True))
    return L.Trainer(
        max_steps=wanted.steps,
        precision=wanted.precision,
        gradient_clip_val=wanted.clip_norm or None,
        callbacks=callbacks,
        logger=CSVLogger(out, name="log"),  # a version for each start, so a resume loses none
        default_root_dir=out,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        enable_model_summary=False,
    )


def _train_loader(
    recipe: Recipe, data: Path, step: Callable[[], int]
) -> DataLoader[dict[str, torch.Tensor]]:
    wanted = recipe.trainer
    # Chips are read once and kept: the loader's workers share them with this process.
    sources: list[list[Chip]] = [_in_memory(part.source.chips(data)) for part in recipe.train]
    samples = Samples(sources, [part.weight for part in recipe.train], recipe.augment, wanted.seed)
    return DataLoader(
        samples,
        batch_size=wanted.batch_size,
        sampler=EpochSampler(
            wanted.steps_per_epoch * wanted.batch_size, lambda: step() * wanted.batch_size
        ),
        num_workers=wanted.workers,
        persistent_workers=wanted.workers > 0,
    )


def _val_loaders(recipe: Recipe, data: Path) -> list[DataLoader[dict[str, Any]]]:
    # One chip at a time: chips of a set may differ in size.
    return [DataLoader(Whole(source.chips(data)), batch_size=1) for source in recipe.val.values()]


def _in_memory(chips: Chips) -> list[Chip]:
    return [chips[index] for index in range(len(chips))]
