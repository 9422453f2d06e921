"""Roofs that touch, told apart: at necks, or along a border class.

Both are watersheds (Vincent and Soille 1991, scikit-image): one on the distance to the piece's
edge, one on the distance to what the border leaves of it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

Labels = NDArray[np.int32]

_CROSS = ndimage.generate_binary_structure(2, 1)  # pixels hang together by their sides


def split_at_necks(piece: NDArray[np.bool_], *, neck: float, least_px: float) -> Labels:
    """Labels 1.. of the parts of a piece (row, col) that hang together by a neck only.

    A neck is narrower than ``neck`` times the narrower of the two parts that it joins, each at its
    widest. Parts of fewer than ``least_px`` pixels stay with their neighbour.
    """
    distance = ndimage.distance_transform_edt(np.pad(piece, 1))[1:-1, 1:-1]
    if not _may_have_neck(distance, neck):
        return np.asarray(piece, np.int32)
    basins = watershed(-distance, mask=piece)  # type: ignore[no-untyped-call]
    count = int(basins.max())
    if count < 2:
        return np.asarray(piece, np.int32)
    parts = _Parts(ndimage.maximum(distance, basins, np.arange(1, count + 1)), basins)
    for first, second, width in _passes(basins, distance):
        parts.join(first, second, width, neck=neck, least_px=least_px)
    return parts.labels(basins)


def split_at_borders(
    piece: NDArray[np.bool_], border: NDArray[np.bool_], *, least_px: float
) -> Labels:
    """Labels 1.. of a piece that is cut where ``border`` is; its pixels go to the nearest part."""
    seeds, count = ndimage.label(piece & ~border)
    large = np.bincount(seeds.ravel(), minlength=count + 1) >= least_px
    large[0] = False
    if np.count_nonzero(large) < 2:
        return np.asarray(piece, np.int32)
    seeds = np.where(large, np.cumsum(large), 0)[seeds]
    distance = ndimage.distance_transform_edt(seeds == 0)
    parts = watershed(distance, seeds, mask=piece)  # type: ignore[no-untyped-call]
    return np.asarray(parts, np.int32)


def _may_have_neck(distance: NDArray[np.float64], neck: float) -> bool:
    """Whether the piece falls apart at a depth: a quick look that misses no neck.

    A part that is ``p`` deep behind a neck is on its own at all depths from ``neck * p`` to ``p``;
    so one of depths that are ``neck`` times each other tells.
    """
    depth = neck * float(distance.max(initial=0))
    while depth >= 1:  # all of the piece is that deep
        if ndimage.label(distance > depth, _CROSS)[1] > 1:
            return True
        depth *= neck
    return False


class _Parts:
    """Basins that are joined to parts: how wide and how large each is; union by find."""

    def __init__(self, peak: NDArray[np.float64], basins: Labels) -> None:
        self._peak = [0.0, *peak]
        self._area: list[int] = np.bincount(basins.ravel()).tolist()
        self._head = list(range(len(self._peak)))

    def find(self, part: int) -> int:
        while self._head[part] != part:
            part = self._head[part]
        return part

    def join(self, first: int, second: int, width: float, *, neck: float, least_px: float) -> None:
        """Join two parts that a pass of this width joins, unless that is a neck."""
        a, b = self.find(first), self.find(second)
        narrower = min(self._peak[a], self._peak[b])
        smaller = min(self._area[a], self._area[b])
        if a == b or (width < neck * narrower and smaller >= least_px):
            return
        keep, gone = (a, b) if self._peak[a] >= self._peak[b] else (b, a)
        self._head[gone] = keep
        self._area[keep] += self._area[gone]

    def labels(self, basins: Labels) -> Labels:
        heads = [self.find(part) for part in range(len(self._head))]
        return np.unique(heads, return_inverse=True)[1].astype(np.int32)[basins]


def _passes(basins: Labels, distance: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Pairs of basins that touch, with half the width of the widest pass; widest first."""
    pairs, widths = [], []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        a, b = basins[one], basins[other]
        meet = (a != b) & (a > 0) & (b > 0)
        pairs.append(np.sort(np.column_stack([a[meet], b[meet]]), axis=1))
        widths.append(np.minimum(distance[one], distance[other])[meet])
    pair, width = np.concatenate(pairs), np.concatenate(widths)
    order = np.lexsort((pair[:, 1], pair[:, 0], -width))
    return [(int(a), int(b), float(w)) for (a, b), w in zip(pair[order], width[order], strict=True)]
