"""From a recipe to a run folder: checkpoints, curves, and the network that came out."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from terralink.errors import RecipeError
from terralink.export import Metadata
from terralink.files import written_whole
from terralink.models import pretrained
from terralink.models.normalised import IMAGENET
from terralink.train import checkpoints, provenance, record
from terralink.train.batches import Batches
from terralink.train.plateau import Plateau
from terralink.train.recipe import Recipe
from terralink.train.schedule import ReloadAndDivide
from terralink.train.score import scores
from terralink.train.task import Segmentation

_SCORES = "scores.json"
Scores = dict[str, float]


@dataclass(frozen=True)
class Processes:
    """Over how many devices of how many hosts a run is spread (DDP)."""

    devices: int = 1
    hosts: int = 1

    @property
    def count(self) -> int:
        return self.devices * self.hosts


ONE = Processes()


def fit(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    processes: Processes = ONE,
) -> Scores | None:
    """Train ``recipe`` on the sets below ``data`` into the folder ``out``; the scores at its end.

    ``start`` is the folder of a run to go on from, with its weights and nothing else of it.
    ``out`` gets recipe.yaml, environment.json, the figures of each start in log/ (CSV) and
    tensorboard/, last.ckpt (to resume from), best.ckpt where the recipe has a monitor, overlays/,
    model.safetensors and config.json (the result, with averaged weights when the recipe asks),
    scores.json, curves.png and report.html. Of several processes only the first returns scores.

    Raises ``RecipeError`` for what cannot be trained, ``TrainingError`` when the loss is no number.
    """
    if recipe.starts_from and not start:
        raise RecipeError(
            f"recipe {recipe.name!r} goes on from a run of {recipe.starts_from!r}; "
            "name its folder with --start, or run both with 'terralink fit-stages'"
        )
    batches = Batches(recipe, data, processes=processes.count)
    recipe = batches.recipe
    _open(recipe, batches, out)
    L.seed_everything(recipe.trainer.seed, verbose=False)
    task = Segmentation(recipe, steps=batches.steps, steps_per_epoch=batches.steps_per_epoch)
    if start:
        pretrained.fill(task.network.network, start)
    first = _train(task, batches, out, resume=resume, processes=processes)
    return _conclude(task, batches, out) if first else None


def finished(out: Path) -> Scores | None:
    """The scores of the run in ``out`` if it came to its end, else None."""
    try:
        scores: Scores = json.loads((out / _SCORES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return scores


def finish(out: Path, scores: Scores) -> None:
    """Write the scores, last of all: a run that has them is whole."""
    with written_whole(out / _SCORES) as part:
        part.write_text(json.dumps(scores, indent=2), encoding="utf-8")


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


def _open(recipe: Recipe, batches: Batches, out: Path) -> None:
    """The run folder, with what is known before the first step."""
    for name, text in {
        "recipe.yaml": recipe.to_yaml(),
        "environment.json": provenance.environment(),
        "left_out.txt": "".join(f"{name}\n" for name in batches.left_out),
    }.items():
        with written_whole(out / name) as part:
            part.write_text(text, encoding="utf-8")


def _train(
    task: Segmentation, batches: Batches, out: Path, *, resume: bool, processes: Processes
) -> bool:
    """Run the loop to its end; True in the first of the processes."""
    last = out / "last.ckpt"
    with warnings.catch_warnings():
        # Lightning's advice on workers and folders, and its own use of torch's old names.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(task.recipe, batches, out, processes)
        trainer.fit(
            task,
            batches.train(lambda: trainer.global_step),
            batches.val(),
            ckpt_path=last if resume and last.exists() else None,
            weights_only=True,
        )
    return bool(trainer.is_global_zero)


def _trainer(recipe: Recipe, batches: Batches, out: Path, processes: Processes) -> L.Trainer:
    wanted = recipe.trainer
    spread = processes.count > 1
    return L.Trainer(
        max_steps=batches.steps,
        check_val_every_n_epoch=wanted.val_every_epochs,
        devices=processes.devices,
        num_nodes=processes.hosts,
        strategy="ddp" if spread else "auto",
        sync_batchnorm=spread and torch.cuda.is_available(),  # torch has it for GPUs only
        precision=wanted.precision,
        gradient_clip_val=wanted.clip_norm or None,
        accumulate_grad_batches=wanted.accumulate,
        callbacks=_callbacks(recipe, out),
        plugins=[checkpoints.WholeCheckpoints()],
        logger=[
            CSVLogger(out, name="log", flush_logs_every_n_steps=1),  # a kill must lose no line
            TensorBoardLogger(out, name="tensorboard"),
        ],
        default_root_dir=out,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        enable_model_summary=False,
    )


def _callbacks(recipe: Recipe, out: Path) -> list[L.Callback]:
    wanted = recipe.trainer
    asked = [*checkpoints.callbacks(recipe, out), record.Overlays(tuple(recipe.val), out)]
    if isinstance(recipe.schedule, ReloadAndDivide):
        asked.append(Plateau(recipe.schedule, out))
    if wanted.monitor and wanted.patience_epochs:
        asked.append(EarlyStopping(wanted.monitor, patience=wanted.patience_epochs, mode="max"))
    return asked


def _conclude(task: Segmentation, batches: Batches, out: Path) -> Scores:
    """Save the result, score it on each validation set, and draw the report."""
    recipe = task.recipe
    if recipe.trainer.keep == "best":
        task.load_state_dict(checkpoints.weights(out / "best.ckpt"))
    save(task, out)
    sets = dict(zip(recipe.val, batches.val(), strict=True))
    found = scores(task.eval(), sets, threshold=recipe.threshold, tta=recipe.tta)
    record.write(recipe, out, found)
    finish(out, found)
    return found
