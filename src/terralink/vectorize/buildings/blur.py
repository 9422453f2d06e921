"""How blurred the edges of roofs are: the spread of the Gaussian that would make them so.

A mask that was blurred by a Gaussian of ``s`` pixels rises at a straight edge by phi(z) / s a
pixel, where phi is the normal density and z where the edge is cut: 0 at a threshold of one half.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtri

_CRISP_PX = 0.8  # what an edge from 0 to 1 from one pixel to the next looks like, as measured here
_HIGHEST = 0.98  # of the most that a roof has: nearer to it nothing rises


def blurs_px(
    labels: NDArray[np.int32], level: NDArray[np.uint8], *, least: int
) -> NDArray[np.float64]:
    """The blur of each label 0.. (that of 0 is 0): the median over its edge; 0 for a mask.

    labels (row, col)  roofs, 0 beside them
    level (row, col)   probabilities as bytes; ``least`` is the lowest that is roof
    """
    blur = np.zeros(int(labels.max(initial=0)) + 1)
    if not ((level - np.uint8(1)) < 254).any():
        return blur
    rows, cols = np.nonzero(_at_edge(labels))
    label = labels[rows, cols]
    if not len(label):
        return blur
    most = np.asarray(ndimage.maximum(level, labels, np.arange(len(blur))), float)[label]
    rise = _rise(level, rows, cols) / np.maximum(most, 1)
    z = ndtri(np.minimum(least / np.maximum(most, 1), _HIGHEST))
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    seen_px = density / np.maximum(rise, 1e-3)
    numbers, median_px = _medians(label, seen_px)
    blur[numbers] = np.sqrt(np.maximum(median_px**2 - _CRISP_PX**2, 0))
    return blur


def _at_edge(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Pixels of a roof with a pixel beside them that is of none."""
    roof = labels > 0
    edge = np.zeros_like(roof)
    edge[1:] |= ~roof[:-1]
    edge[:-1] |= ~roof[1:]
    edge[:, 1:] |= ~roof[:, :-1]
    edge[:, :-1] |= ~roof[:, 1:]
    return edge & roof


def _rise(
    level: NDArray[np.uint8], rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How steep the levels are at pixels: half the difference of the two neighbours each way."""
    height, width = level.shape
    above, below = np.maximum(rows - 1, 0), np.minimum(rows + 1, height - 1)
    left, right = np.maximum(cols - 1, 0), np.minimum(cols + 1, width - 1)
    along = level[below, cols].astype(float) - level[above, cols]
    across = level[rows, right].astype(float) - level[rows, left]
    return np.asarray(np.hypot(along, across) / 2)


def _medians(
    label: NDArray[np.int32], value: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """The labels that are there, and the median of the values of each."""
    order = np.lexsort((value, label))
    numbers, first, count = np.unique(label[order], return_index=True, return_counts=True)
    return numbers, value[order][first + count // 2]
