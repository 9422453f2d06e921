"""From skeleton pixels to chains of pixels, strip by strip.

Two skeleton pixels are linked when they touch, unless they touch at a corner only and a third one
touches both by its sides. Each link belongs to the strip of its lower pixel, so that every link of
a scene is in exactly one strip, whatever the strips are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import shapely
from numpy.typing import NDArray

from terralink.graph.polylines import string

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Skeleton pixels in row order, and what is known of the mask there.

    width_m   width of the mask
    radius_m  distance to the nearest background
    prob      probability, 0..255
    """

    rows: Ints
    cols: Ints
    width_m: NDArray[np.float32]
    radius_m: NDArray[np.float32]
    prob: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, below: "Pixels") -> "Pixels":
        columns = zip(vars(self).values(), vars(below).values(), strict=True)
        return Pixels(*(np.concatenate(pair) for pair in columns))

    @classmethod
    def none(cls) -> "Pixels":
        no_place, no_length = np.empty(0, np.int64), np.empty(0, np.float32)
        return cls(no_place, no_place, no_length, no_length, np.empty(0, np.uint8))

    def in_row(self, row: int) -> "Pixels":
        here = slice(*np.searchsorted(self.rows, [row, row + 1]))
        return Pixels(*(column[here] for column in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Traces:
    """Chains of pixels, one after the other, with what is known of each.

    rows, cols (p,)  pixels in walking order
    counts (k,)      pixels of each chain
    width_m, prob    (k,) means along the chain; probabilities are 0..255
    peak (k,)        the chain's highest probability
    radius_m (k, 2)  distance to the nearest background at its first and last pixel
    """

    rows: NDArray[np.int32]
    cols: NDArray[np.int32]
    counts: Ints
    width_m: NDArray[np.float64]
    prob: NDArray[np.float64]
    peak: NDArray[np.uint8]
    radius_m: NDArray[np.float32]

    @classmethod
    def together(cls, strips: Sequence["Traces"]) -> "Traces":
        """All chains of one strip or more."""
        columns = zip(*(vars(strip).values() for strip in strips), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def packed(self) -> bytes:
        """The same as bytes, to be put away."""
        file = BytesIO()
        np.savez(file, **vars(self))
        return file.getvalue()

    @classmethod
    def unpacked(cls, data: bytes) -> "Traces":
        """What was ``packed``."""
        with np.load(BytesIO(data)) as columns:
            return cls(**columns)


def trace(pixels: Pixels, *, seams: tuple[int, int], pixel_size_m: tuple[float, float]) -> Traces:
    """Chains from one branching or ending pixel to the next, or to a seam.

    ``pixels`` are those of the strip and of the last row above it; ``seams`` are that row and the
    strip's own last one, where chains end for now: their other halves are in the next strips.
    """
    links = _links(pixels, above=seams[0])
    on_seam = (pixels.rows == seams[0]) | (pixels.rows == seams[1])
    chains = string(links, stop=on_seam)
    nodes, starts = chains.nodes(links)
    first, second = links.T
    across, along = pixel_size_m
    length_m = np.hypot(
        (pixels.cols[first] - pixels.cols[second]) * across,
        (pixels.rows[first] - pixels.rows[second]) * along,
    )
    width_m, prob = (
        chains.mean((column[first].astype(float) + column[second]) / 2, length_m)
        for column in (pixels.width_m, pixels.prob)
    )
    peak = np.maximum.reduceat(pixels.prob[nodes], starts[:-1]) if len(chains) else pixels.prob[:0]
    rows, cols = (column[nodes].astype(np.int32) for column in (pixels.rows, pixels.cols))
    radius_m = pixels.radius_m[nodes[np.column_stack([starts[:-1], starts[1:] - 1])]]
    return Traces(rows, cols, np.diff(starts), width_m, prob, peak, radius_m)


def straightened(traces: Traces) -> Traces:
    """The same traces with only the pixels where they bend; the others are within half a pixel.

    That is what keeps the map of a huge scene small until it is whole.
    """
    of_chain = np.repeat(np.arange(len(traces.counts)), traces.counts)
    dense = shapely.linestrings(traces.cols, traces.rows, indices=of_chain)
    lines = shapely.simplify(dense, 0.5, preserve_topology=False)
    cols, rows = shapely.get_coordinates(lines).astype(np.int32).T
    return replace(traces, rows=rows, cols=cols, counts=shapely.get_num_coordinates(lines))


def _links(pixels: Pixels, *, above: int) -> Ints:
    """(m, 2) numbers of linked pixels; links inside the row ``above`` belong to the strip above."""
    stride = int(pixels.cols.max(initial=0)) + 2  # a column to spare: rows do not touch around it
    keys = pixels.rows * stride + pixels.cols
    east = _at(keys, keys + 1)
    south, southeast, southwest = (_at(keys, keys + stride + aside) for aside in (0, 1, -1))
    west = np.zeros(len(keys), bool)
    west[east[east >= 0]] = True
    alone = south < 0
    kept = (
        np.where(pixels.rows > above, east, -1),
        south,
        np.where(alone & (east < 0), southeast, -1),
        np.where(alone & ~west, southwest, -1),
    )
    there = [np.flatnonzero(other >= 0) for other in kept]
    pairs = [np.column_stack([i, other[i]]) for i, other in zip(there, kept, strict=True)]
    return np.concatenate(pairs).astype(np.int64)


def _at(keys: Ints, wanted: Ints) -> Ints:
    """The position of each wanted key among the sorted keys, or -1."""
    where = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[where] == wanted, where, -1) if len(keys) else where
