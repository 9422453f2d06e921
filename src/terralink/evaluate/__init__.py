"""Scores of files: truth against prediction, one pair or two folders of them.

    files -> pairs -> a part each -> their sum -> figures, table, page

pairs   which file belongs to which, and on which grids both lie
inputs  masks, roads and buildings, from rasters and vectors
tasks   what is scored, and how: pixels, patches, roads, topo, buildings
report  a page with the worst cases drawn
"""

from terralink.evaluate.inputs import Rules
from terralink.evaluate.pairs import Pair, Pairs, paired
from terralink.evaluate.report import number, page
from terralink.evaluate.tasks import KINDS, Case, Kind, Result, evaluate
from terralink.metrics.epfl import unpack_submission

__all__ = [
    "KINDS",
    "Case",
    "Kind",
    "Pair",
    "Pairs",
    "Result",
    "Rules",
    "evaluate",
    "number",
    "page",
    "paired",
    "unpack_submission",
]
