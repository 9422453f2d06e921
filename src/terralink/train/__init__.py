"""Training: a recipe (data) goes in, a run folder comes out. Needs the extra ``train``."""

from terralink.train.loop import fit
from terralink.train.recipe import Recipe, shipped

__all__ = ["Recipe", "fit", "shipped"]
