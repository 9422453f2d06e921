"""D-LinkNet's schedule, from its authors' loop: go back to the best weights, with a smaller rate.

RULE 1: an epoch is better when its mean training loss is under the best so far; then its weights
become the best.
RULE 2: after more than ``stop_after_epochs`` worse epochs in a row the run ends.
RULE 3: after more than ``patience_epochs`` each further one reloads the best weights and divides
the learning rate; a rate that is under ``least_rate`` already ends the run instead.
RULE 4: the best weights are the result.
"""

import math
from pathlib import Path
from typing import Any

import lightning as L
import torch

from terralink.atomic_write import write_atomically
from terralink.train.schedule import ReloadAndDivide


class Plateau(L.Callback):
    """Follows the rules above; the best weights lie in ``out``/lowest_loss.ckpt."""

    def __init__(self, wanted: ReloadAndDivide, out: Path):
        self.wanted, self.path = wanted, out / "lowest_loss.ckpt"
        self.lowest, self.worse = math.inf, 0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loss = float(trainer.callback_metrics["loss_epoch"])
        if loss < self.lowest:
            self.lowest, self.worse = loss, 0
            if trainer.is_global_zero:
                self._keep(pl_module)
            return
        self.worse += 1
        if self.worse > self.wanted.stop_after_epochs:
            trainer.should_stop = True
        elif self.worse > self.wanted.patience_epochs:
            self._reload_and_divide(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._reload(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"lowest": self.lowest, "worse": self.worse}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.lowest, self.worse = state_dict["lowest"], state_dict["worse"]

    def _keep(self, module: L.LightningModule) -> None:
        with write_atomically(self.path) as part:
            torch.save(module.state_dict(), part)

    def _reload_and_divide(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        (optimizer,) = trainer.optimizers
        if optimizer.param_groups[0]["lr"] < self.wanted.least_rate:
            trainer.should_stop = True
            return
        self._reload(trainer, module)
        for group in optimizer.param_groups:
            group["lr"] /= self.wanted.divide_by
        # The schedule multiplies its own rates by 1: they are what lasts.
        schedule = trainer.lr_scheduler_configs[0].scheduler
        schedule.base_lrs = [rate / self.wanted.divide_by for rate in schedule.base_lrs]

    def _reload(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        trainer.strategy.barrier()  # the first process has written them
        module.load_state_dict(torch.load(self.path, weights_only=True))
