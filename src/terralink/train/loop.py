"""From a recipe to a run folder: checkpoints, curves, and the network that came out."""

import json
import warnings
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger

from terralink.errors import RecipeError
from terralink.export import Metadata
from terralink.files import written_whole
from terralink.models import pretrained
from terralink.models.normalised import IMAGENET
from terralink.train import checkpoints, provenance
from terralink.train.batches import Batches
from terralink.train.recipe import Recipe
from terralink.train.score import score
from terralink.train.task import Segmentation

SCORES = "scores.json"


def fit(
    recipe: Recipe, data: Path, out: Path, *, start: Path | None = None, resume: bool = False
) -> dict[str, float]:
    """Train ``recipe`` on the sets below ``data`` into the folder ``out``; the scores at its end.

    ``start`` is the folder of a run to go on from, with its weights and nothing else of it.
    ``out`` gets recipe.yaml, environment.json, the figures of each start in log/, last.ckpt (to
    resume from), best.ckpt where the recipe has a monitor, model.safetensors and config.json (the
    result, with averaged weights when the recipe asks) and scores.json.
    """
    if recipe.starts_from and not start:
        raise RecipeError(
            f"recipe {recipe.name!r} goes on from a run of {recipe.starts_from!r}; "
            "name its folder with --start, or run both with 'terralink fit-stages'"
        )
    batches = Batches(recipe, data)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    provenance.write(out)
    L.seed_everything(recipe.trainer.seed, verbose=False)
    task = Segmentation(recipe, steps=batches.steps, steps_per_epoch=batches.steps_per_epoch)
    if start:
        pretrained.fill(task.network.network, start)
    _train(task, batches, out, resume=resume)
    if recipe.trainer.keep == "best":
        task.load_state_dict(checkpoints.weights(out / "best.ckpt"))
    save(task, out)
    return _scored(task, batches, out)


def save(task: Segmentation, out: Path) -> None:
    """The network alone, and its card, as ``terralink export`` takes them."""
    recipe = task.recipe
    card = Metadata(
        name=recipe.name,
        about=recipe.about,
        network=recipe.model.name,
        classes=recipe.model.classes,
        bands=recipe.model.bands,
        pixel_size_m=recipe.model.pixel_size_m,
        threshold=recipe.threshold,
        licence=recipe.licence,
        attribution=recipe.attribution,
        recipe=recipe.to_yaml(),
        commit=provenance.commit(),
    )
    network = {
        "name": recipe.model.name,
        "num_classes": len(recipe.model.classes),
        "in_channels": len(recipe.model.bands),
    }
    config = {
        "network": network,
        "levels": IMAGENET.as_config(),
        "card": card.model_dump(mode="json"),
    }
    pretrained.save(task.network.network, out, config)


def _train(task: Segmentation, batches: Batches, out: Path, *, resume: bool) -> None:
    last = out / "last.ckpt"
    with warnings.catch_warnings():
        # Lightning's advice on workers and folders, and its own use of torch's old names.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(task.recipe, batches, out)
        trainer.fit(
            task,
            batches.train(lambda: trainer.global_step),
            batches.val(),
            ckpt_path=last if resume and last.exists() else None,
            weights_only=True,
        )


def _trainer(recipe: Recipe, batches: Batches, out: Path) -> L.Trainer:
    wanted = recipe.trainer
    callbacks = checkpoints.callbacks(recipe, out)
    if wanted.patience_epochs:
        assert wanted.monitor  # the recipe says so
        callbacks.append(EarlyStopping(wanted.monitor, patience=wanted.patience_epochs, mode="max"))
    return L.Trainer(
        max_steps=batches.steps,
        precision=wanted.precision,
        gradient_clip_val=wanted.clip_norm or None,
        accumulate_grad_batches=wanted.accumulate,
        callbacks=callbacks,
        plugins=[checkpoints.WholeCheckpoints()],
        logger=CSVLogger(out, name="log"),  # a version for each start, so a resume loses none
        default_root_dir=out,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        enable_model_summary=False,
    )


def _scored(task: Segmentation, batches: Batches, out: Path) -> dict[str, float]:
    """The figures of the result on each validation set, written to scores.json."""
    recipe = task.recipe
    scores = {
        f"{name}/{figure}": value
        for name, loader in zip(recipe.val, batches.val(), strict=True)
        for figure, value in score(task.eval(), loader, threshold=recipe.threshold, tta=recipe.tta)
        .figures()
        .items()
    }
    with written_whole(out / SCORES) as part:
        part.write_text(json.dumps(scores, indent=2), encoding="utf-8")
    return scores
