"""From a recipe to a run folder: checkpoints, curves, and the trained network."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from terralink import models
from terralink.atomic_write import write_atomically
from terralink.errors import RecipeError, TerralinkError
from terralink.model_card import Metadata
from terralink.models import pretrained
from terralink.models.network import IMAGENET, save_checkpoint
from terralink.train import artifacts
from terralink.train.datamodule import DataModule, TrainDataset
from terralink.train.recipe import Recipe
from terralink.train.run_folder import (
    LAST_CHECKPOINT,
    RECIPE,
    Scores,
    check_earlier_run,
    clean_up_failed_start,
    describe_commit,
    describe_environment,
    write_scores,
)
from terralink.train.schedule import ReloadAndDivide, ReloadAndDivideCallback
from terralink.train.task import SegmentationTask, scores


@dataclass(frozen=True)
class Processes:
    """Over how many devices of how many hosts a run is spread (DDP)."""

    devices: int = 1
    hosts: int = 1

    @property
    def count(self) -> int:
        return self.devices * self.hosts


SINGLE_PROCESS = Processes()


def fit(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    processes: Processes = SINGLE_PROCESS,
) -> Scores | None:
    """Train ``recipe`` on the sets below ``data`` into the folder ``out``; the scores at its end.

    ``start`` is the folder of a run to go on from, with its weights and nothing else of it.
    ``out`` gets recipe.yaml, environment.json, the figures of each start in log/ (CSV) and
    tensorboard/, last.ckpt (to resume from), best.ckpt where the recipe has a monitor, overlays/,
    model.safetensors and config.json (the result, with averaged weights when the recipe asks),
    scores.json, curves.png and report.html. Of several processes only the first returns scores.

    A run of the same recipe that came to its end is not touched when it is resumed: its scores come
    back. What fails before the first step leaves nothing in ``out``.

    Raises ``RecipeError`` for what cannot be trained, ``OutputError`` where ``out`` holds a run
    that would be lost, ``TrainingError`` when the loss is no number.
    """
    if recipe.starts_from and not start:
        raise RecipeError(
            f"recipe {recipe.name!r} goes on from a run of {recipe.starts_from!r}; "
            "name its folder with --start, or run both with 'terralink train-stages'"
        )
    if (before := check_earlier_run(recipe, out, resume=resume)) is not None:
        return before
    batches = DataModule(recipe, data, processes=processes.count)
    recipe = batches.recipe
    check_start(batches)
    L.seed_everything(recipe.trainer.seed, verbose=False)
    task = SegmentationTask(recipe, steps=batches.steps, steps_per_epoch=batches.steps_per_epoch)
    if start:
        pretrained.load_weights(task.network.network, start)
    with clean_up_failed_start(out, lambda: task.global_step > 0):
        _write_inputs(recipe, batches, out)
        first = _train(task, batches, out, resume=resume, processes=processes)
    return _write_results(task, batches, out, start) if first else None


def save_model(task: SegmentationTask, out: Path, *, start: Path | None = None) -> None:
    """The network alone, and its card, as ``terralink export`` takes them.

    What the weights of ``start`` were trained on is credited, too.
    """
    recipe = task.recipe
    metadata = Metadata(
        name=recipe.name,
        about=recipe.about,
        network=recipe.model.name,
        classes=recipe.model.classes,
        bands=recipe.model.bands,
        pixel_size_m=recipe.model.pixel_size_m,
        threshold=recipe.threshold,
        licence=recipe.licence,
        attribution=_collect_credits(recipe, start),
        recipe=recipe.to_yaml(),
        commit=describe_commit(),
    )
    network = {
        "name": recipe.model.name,
        "num_classes": len(recipe.model.classes),
        "in_channels": len(recipe.model.bands),
    }
    config = {
        "network": network,
        "normalization": IMAGENET.as_config(),
        "metadata": metadata.model_dump(mode="json"),
    }
    save_checkpoint(task.network.network, out, config)


def _write_inputs(recipe: Recipe, batches: DataModule, out: Path) -> None:
    """The run folder, with what is known before the first step."""
    for name, text in {
        RECIPE: recipe.to_yaml(),
        "environment.json": describe_environment(),
        "left_out.txt": "".join(f"{name}\n" for name in batches.left_out),
    }.items():
        with write_atomically(out / name) as part:
            part.write_text(text, encoding="utf-8")


def _train(
    task: SegmentationTask, batches: DataModule, out: Path, *, resume: bool, processes: Processes
) -> bool:
    """Run the loop to its end; True in the first of the processes."""
    last = out / LAST_CHECKPOINT
    with _shorten_worker_errors(), warnings.catch_warnings():
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


def _trainer(recipe: Recipe, batches: DataModule, out: Path, processes: Processes) -> L.Trainer:
    config = recipe.trainer
    distributed = processes.count > 1
    return L.Trainer(
        max_steps=batches.steps,
        check_val_every_n_epoch=config.val_every_epochs,
        devices=processes.devices,
        num_nodes=processes.hosts,
        strategy="ddp" if distributed else "auto",
        sync_batchnorm=distributed and torch.cuda.is_available(),  # torch has it for GPUs only
        precision=config.precision,
        gradient_clip_val=config.clip_norm or None,
        accumulate_grad_batches=config.accumulate,
        callbacks=_callbacks(recipe, batches, out),
        plugins=[artifacts.AtomicCheckpointIO()],
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


def _callbacks(recipe: Recipe, batches: DataModule, out: Path) -> list[L.Callback]:
    config = recipe.trainer
    callbacks = [
        *artifacts.callbacks(recipe, out),
        artifacts.Overlays(tuple(recipe.val), out),
        artifacts.Progress(-(-batches.steps // batches.steps_per_epoch)),
    ]
    if isinstance(recipe.schedule, ReloadAndDivide):
        callbacks.append(ReloadAndDivideCallback(recipe.schedule, out))
    if config.monitor and config.patience_epochs:
        callbacks.append(EarlyStopping(config.monitor, patience=config.patience_epochs, mode="max"))
    return callbacks


@contextmanager
def _shorten_worker_errors() -> Iterator[None]:
    """What a worker of the loader says of a chip, without the traceback that torch puts before."""
    try:
        yield
    except TerralinkError as error:
        line = str(error).strip().splitlines()[-1]
        if "\n" not in str(error):
            raise
        raise type(error)(line.partition(f"{type(error).__name__}: ")[2] or line) from error


def _collect_credits(recipe: Recipe, start: Path | None) -> str:
    """Whom the data of a run are to be credited to, those of the run it starts from as well."""
    if start is None:
        return recipe.credits
    before = pretrained.read_config(start).get("metadata", {}).get("attribution", "")
    if before in recipe.credits:
        return recipe.credits
    return "; ".join(part for part in (recipe.credits, f"first trained on: {before}") if part)


def _write_results(
    task: SegmentationTask, batches: DataModule, out: Path, start: Path | None
) -> Scores:
    """Save the result, score it on each validation set, and draw the report."""
    recipe = task.recipe
    if recipe.trainer.keep == "best":
        task.load_state_dict(artifacts.weights(out / "best.ckpt"))
    save_model(task, out, start=start)
    sets = dict(zip(recipe.val, batches.val(), strict=True))
    found = scores(task.eval(), sets, threshold=recipe.threshold, tta=recipe.tta)
    artifacts.write(recipe, out, found)
    write_scores(out, found)
    return found


_NO_SPREAD = "Expected more than 1 value per channel"


def check_start(batches: DataModule) -> None:
    """Draw a sample of each source, and see whether the network takes a batch of the recipe's.

    Raises ``InputError`` for chips that cannot be augmented, ``RecipeError`` for a batch of one.
    """
    recipe = batches.recipe
    for source in batches.sources:
        TrainDataset([source], [1.0], recipe.augment, 0, pixel_size_m=recipe.rescale_to_m)[0]
    check_norms(recipe, recipe.trainer.batch_size // batches.processes)


def check_norms(recipe: Recipe, batch_size: int) -> None:
    """Raise ``RecipeError`` where a batch norm would see one value, whose spread is nothing.

    So it is where a network pools a sample to 1 x 1 pixel, and a batch is one sample.
    """
    if batch_size > 1 or recipe.trainer.freeze_norms:
        return
    config, side_px = recipe.model, recipe.augment.crop_px
    with torch.device("meta"):  # shapes alone, no memory and no arithmetic
        network = models.create_model(
            config.name, num_classes=len(config.classes), in_channels=len(config.bands)
        ).train()
        try:
            network(torch.zeros(batch_size, len(config.bands), side_px, side_px))
        except ValueError as error:
            if _NO_SPREAD not in str(error):
                raise
            raise RecipeError(
                f"{config.name} pools a sample of {side_px} px to 1 x 1, and a batch norm has no "
                "spread over one value: a batch of 2 or more for each process (trainer.batch_size),"
                " or trainer.freeze_norms: true"
            ) from error
