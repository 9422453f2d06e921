"""Images per second of the training loop, against a plain fp32 loop over the same samples.

    python benchmarks/training.py [NETWORK] [--crop PX] [--batch N] [--steps N] [--threads N]

Needs the extra 'train'. Both train the same network from the same start with Adam and D-LinkNet's
loss: the loop as `terralink train` runs it (bf16, channels last, samples drawn and augmented by a
worker), and torch alone (fp32, contiguous, samples ready in memory). A rate is that of the fastest
step but the first, which is what the machine can do when nothing else runs. `waits` is the share of
the loop's time in which it stood still for a sample.
"""

import argparse
import logging
import warnings
from pathlib import Path
from time import perf_counter
from typing import Any

import lightning as L
import torch

from terralink import losses, models
from terralink.data.sources import Towns
from terralink.models.network import NormalizedNetwork
from terralink.train import Recipe
from terralink.train.datamodule import DataModule
from terralink.train.recipe import WeightedSource
from terralink.train.schedule import Constant
from terralink.train.task import SegmentationTask

_SIDE_PX = 1024


def recipe_of(wanted: Any) -> Recipe:
    """D-LinkNet's training, but of drawn towns."""
    paper = Recipe.from_name("dlinknet_dlinknet34")
    towns = Towns(kind="towns", count=4, side_px=_SIDE_PX)
    length = {"steps": wanted.steps, "steps_per_epoch": wanted.steps, "epochs": None}
    changed = {
        "model": paper.model.model_copy(update={"name": wanted.network, "weights": None}),
        "train": (WeightedSource(source=towns),),
        "val": {},
        "augment": paper.augment.model_copy(update={"crop_px": wanted.crop}),
        "schedule": Constant(kind="constant"),
        "trainer": paper.trainer.model_copy(
            update={**length, "batch_size": wanted.batch, "workers": 1}
        ),
    }
    return paper.model_copy(update=changed)


class Clock(L.Callback):
    """When each step began and ended."""

    def __init__(self) -> None:
        self.began: list[float] = []
        self.ended: list[float] = []

    def on_train_batch_start(self, *_of_the_loop: Any) -> None:
        self.began.append(perf_counter())

    def on_train_batch_end(self, *_of_the_loop: Any) -> None:
        self.ended.append(perf_counter())

    def fastest_s(self) -> float:
        """From the end of a step to that of the next: all that a step costs."""
        return min(b - a for a, b in zip(self.ended, self.ended[1:], strict=False))

    def waits(self) -> float:
        stood = sum(b - a for a, b in zip(self.ended, self.began[1:], strict=False))
        return stood / (self.ended[-1] - self.ended[0])


def ours(recipe: Recipe) -> Clock:
    """The loop of `terralink train`, but for scores and checkpoints."""
    batches, clock = DataModule(recipe, Path()), Clock()
    task = SegmentationTask(recipe, steps=batches.steps, steps_per_epoch=batches.steps_per_epoch)
    trainer = L.Trainer(
        max_steps=batches.steps,
        precision=recipe.trainer.precision,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )
    with warnings.catch_warnings():  # of what is left out here
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(task, batches.train(lambda: trainer.global_step))
    return clock


def plain(recipe: Recipe) -> Clock:
    """The same steps in torch alone."""
    samples = list(DataModule(recipe, Path()).train(lambda: 0))
    network = NormalizedNetwork(models.create_model(recipe.model.name)).train()
    loss_of, clock = losses.build(recipe.loss), Clock()
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.optimizer.learning_rate)
    for batch in samples:
        clock.on_train_batch_start()
        optimizer.zero_grad()
        loss_of(network(batch["image"]), batch["mask"]).backward()
        optimizer.step()
        clock.on_train_batch_end()
    return clock


def loader_rate(recipe: Recipe) -> float:
    """Samples per second of one worker with nothing to wait for."""
    batches = iter(DataModule(recipe, Path()).train(lambda: 0))
    next(batches)
    began = perf_counter()
    count = sum(len(batch["image"]) for batch in batches)
    return count / (perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", nargs="?", default="dlinknet34")
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted: Any = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    recipe = recipe_of(wanted)
    baseline, clock = plain(recipe), ours(recipe)
    loader = loader_rate(recipe)
    print("| loop | images/s | ratio | waits | loader alone, images/s |")
    print("|---|---|---|---|---|")
    base = wanted.batch / baseline.fastest_s()
    fast = wanted.batch / clock.fastest_s()
    print(f"| torch, fp32, contiguous | {base:.2f} | 1.00 | | |")
    print(
        f"| terralink, {recipe.trainer.precision}, channels last | {fast:.2f} | {fast / base:.2f} "
        f"| {clock.waits():.1%} | {loader:.1f} |"
    )


if __name__ == "__main__":
    main()
