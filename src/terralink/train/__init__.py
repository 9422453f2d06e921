"""Training: a recipe (data) goes in, a run folder comes out. Needs the extra ``train``.

recipe       what a run depends on, read strictly     schedule, plateau   rates over time
batches      loaders and the number of steps          task, score         loss and figures
loop         fit: all of it together                  checkpoints         last, best, averaged
folder       what a run folder holds already          checks              what would fail at once
stages       one run from another's weights           sweeps              settings and folds
ensemble     several networks as one                  catalogue           what is shipped, by paper
provenance   commit and environment                   record              overlays, curves, report
"""

from terralink.train.ensemble import Ensemble, fit_ensemble, is_ensemble
from terralink.train.folder import finished
from terralink.train.loop import Processes, fit
from terralink.train.recipe import Recipe, shipped
from terralink.train.stages import chain, fit_stages
from terralink.train.sweeps import sweep

__all__ = [
    "Ensemble",
    "Processes",
    "Recipe",
    "chain",
    "finished",
    "fit",
    "fit_ensemble",
    "fit_stages",
    "is_ensemble",
    "shipped",
    "sweep",
]
