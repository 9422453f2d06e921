"""Checkpoints that survive: written whole or not at all, and never with weights that are no number.

So neither a full disk nor a run that diverges loses the last good one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from torch import Tensor

from terralink.atomic_write import write_atomically
from terralink.errors import TrainingError
from terralink.train.recipe import Recipe

LAST, BEST = "last", "best"


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's files, each written beside its name and moved when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        del storage_options
        lost = [key for key, value in checkpoint["state_dict"].items() if not _finite(value)]
        if lost:
            raise TrainingError(
                f"the weights are no numbers any more ({lost[0]} is the first of {len(lost)}); "
                f"{path} is of before: lower the learning rate, or clip the gradients"
            )
        # Through a file of Python's, whose error says that the disk is full.
        with write_atomically(Path(path)) as part, part.open("wb") as file:
            torch.save(checkpoint, file)


def callbacks(recipe: Recipe, out: Path) -> list[Any]:
    """Keep the last checkpoint, the best one by the recipe's figure, and averaged weights."""
    wanted = recipe.trainer
    kept: list[Any] = [
        ModelCheckpoint(out, LAST, enable_version_counter=False, save_on_train_epoch_end=True)
    ]
    if wanted.monitor:
        kept.append(
            ModelCheckpoint(
                out, BEST, monitor=wanted.monitor, mode="max", enable_version_counter=False
            )
        )
    if wanted.ema_decay:
        kept.append(WeightAveraging(avg_fn=moving_average(wanted.ema_decay)))
    return kept


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """How the average of ``count`` steps' weights takes in the next ones.

    An exponential average that begins with a short memory, min(decay, (1 + count) / (10 + count)),
    so that it follows the first steps and forgets the start (as TensorFlow's and timm's do).

    >>> moving_average(0.998)(torch.tensor(0.0), torch.tensor(1.0), 8)
    tensor(0.5000)
    """

    def take_in(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        return keep * average + (1 - keep) * current

    return take_in


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The network's tensors in a checkpoint of a run, averaged where the run averages."""
    state: Mapping[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state
