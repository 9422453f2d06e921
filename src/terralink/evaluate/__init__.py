"""Scores of files: truth against prediction, one pair or two folders of them.

    files -> pairs -> a part each -> their sum -> figures, table, page

pairs   which file belongs to which, and on which grids both lie
inputs  masks, roads and buildings, from rasters and vectors
tasks   what is scored, and how: pixels, patches, roads, topo, buildings
report  a page with the worst cases drawn
"""

from terralink.evaluate.inputs import Rules
from terralink.evaluate.pairs import Pair, Pairs, find_pairs
from terralink.evaluate.report import build_page, format_figure
from terralink.evaluate.tasks import TASKS, Case, Result, Task, evaluate_pairs
from terralink.metrics.epfl import unpack_submission

__all__ = [
    "TASKS",
    "Case",
    "Pair",
    "Pairs",
    "Result",
    "Rules",
    "Task",
    "build_page",
    "evaluate_pairs",
    "find_pairs",
    "format_figure",
    "unpack_submission",
]
