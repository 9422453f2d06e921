"""Training: a recipe (data) goes in, a run folder comes out. Needs the extra ``train``.

recipe       what a run depends on, read strictly     schedule, plateau   rates over time
batches      loaders and the number of steps          task, score         loss and figures
loop         fit: all of it together                  checkpoints         last, best, averaged
stages       one run from another's weights           sweep               settings and folds
provenance   commit and environment                   record              overlays, curves, report
"""

from terralink.train.loop import Processes, fit
from terralink.train.recipe import Recipe, shipped
from terralink.train.stages import chain, fit_stages
from terralink.train.sweep import sweep

__all__ = ["Processes", "Recipe", "chain", "fit", "fit_stages", "shipped", "sweep"]
