"""Training: a recipe (data) goes in, a run folder comes out. Needs the extra ``train``.

recipe      what a run depends on, read strictly      schedule    optimizers and learning rates
datamodule  samples, loaders, number of steps         task        training step, loss, figures
loop        fit: all of it together                   artifacts   checkpoints, overlays, report
run_folder  what a run folder holds already           multirun    sweeps, and stages of a chain
ensemble    several networks as one                   catalogue   what is bundled, by paper
depthwise   faster gradients on CPUs
"""

from terralink.train.ensemble import Ensemble, fit_ensemble, is_ensemble
from terralink.train.loop import Processes, fit
from terralink.train.multirun import load_stages, sweep, train_stages
from terralink.train.recipe import Recipe, list_bundled
from terralink.train.run_folder import read_scores

__all__ = [
    "Ensemble",
    "Processes",
    "Recipe",
    "fit",
    "fit_ensemble",
    "is_ensemble",
    "list_bundled",
    "load_stages",
    "read_scores",
    "sweep",
    "train_stages",
]
