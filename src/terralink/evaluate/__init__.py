"""Scores of files: truth against prediction, one pair or two folders of them.

    files -> pairs -> a part each -> their sum -> figures, table, page

pairs        which file belongs to which
submissions  a CSV of the EPFL road challenge as files that can be paired
inputs       masks, roads and buildings, from rasters and vectors
kinds        what is scored, and how: pixels, patches, roads, topo, buildings
sheet        a report with the worst cases drawn
"""

from terralink.evaluate.inputs import Rules
from terralink.evaluate.kinds import KINDS, Case, Kind, Result, evaluate
from terralink.evaluate.pairs import Pair, Pairs, paired
from terralink.evaluate.sheet import number, page
from terralink.evaluate.submissions import unpacked

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
    "unpacked",
]
