"""Refining probabilities by the colours of the scene: mean field in a fully connected CRF.

    Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge
    Potentials, NeurIPS 2011; after DeepLab (Chen et al. 2018), which DeepLabV3 itself left out

Every pixel sends its belief to every other, weighted by two Gaussian kernels: of distance, and of
distance and colour. Pixels that are alike get alike classes.

**What is approximate.** The kernel of distance is exact but for what is beyond four standard
deviations. That of distance and colour is filtered on a permutohedral lattice in five dimensions
(Adams, Baek and Davis 2010): a sparse matrix spreads each pixel to the six corners of its simplex,
sparse matrices blur along the six axes, and the transpose reads it back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

from terralink.errors import InputError
from terralink.raster import Raster
from terralink.vectorize.bands import check_shares, scaled

Floats = NDArray[np.float64]
Filter = Callable[[Floats], Floats]

_SURE = 1e-5  # no probability is nearer to 0 or 1: colours could not move it


@dataclass(frozen=True)
class Kernels:
    """How far pixels speak to each other, and how loud.

    near_px, near_weight            the kernel of distance alone: it smooths
    reach_px, colours, like_weight  that of distance and colour (0..255): it follows edges
    """

    near_px: float = 3.0
    near_weight: float = 3.0
    reach_px: float = 50.0
    colours: float = 10.0
    like_weight: float = 5.0


_DEFAULT = Kernels()


def refine_with_crf(
    prob: Raster, image: Raster, *, kernels: Kernels = _DEFAULT, rounds: int = 5
) -> Raster:
    """Probabilities that follow the edges of the image, on the same grid as float32.

    prob   (row, col) of one class against the rest, or (class, row, col); 0..1 or bytes of 0..255
    image  (band, row, col) levels 0..255; three bands as a rule

    Pixels that are not valid, or not a number, neither speak nor change: they stay as they are.
    It holds the whole raster in memory, about 1 kB a pixel: refine a large scene in windows.

    Raises ``InputError`` when the two are not on one grid.
    """
    if prob.grid.shape != image.grid.shape:
        raise InputError(
            f"probabilities of {prob.grid.shape} and an image of {image.grid.shape} pixels: "
            "both on one grid are wanted"
        )
    if rounds < 1:
        raise InputError(f"at least one round is needed, not {rounds}")
    belief, single = _beliefs(prob)
    heard = np.isfinite(belief).all(axis=0) & np.isfinite(image.array).all(axis=0)
    for valid in (prob.valid, image.valid):
        if valid is not None:
            heard &= valid
    bands = image.array.reshape(-1, *image.grid.shape)
    refined = belief.copy()
    if heard.any():
        refined[:, heard] = _mean_field(belief[:, heard], bands[:, heard], heard, kernels, rounds)
    array = (refined[1] if single else refined).astype(np.float32)
    return replace(prob, array=array, scale=None)


def _beliefs(prob: Raster) -> tuple[Floats, bool]:
    """(class, row, col) that add to 1, and whether one class against the rest came in."""
    prob = scaled(prob)
    array = prob.array * np.float64(prob.scale)
    check_shares(array)
    if array.ndim == 3 and len(array) > 1:
        total = array.sum(axis=0)
        return np.divide(array, total, out=np.full_like(array, np.nan), where=total > 0), False
    one = array.reshape(prob.grid.shape)
    return np.stack([1 - one, one]), True


def _mean_field(
    prior: Floats,
    colour: NDArray[Any],
    heard: NDArray[np.bool_],
    kernels: Kernels,
    rounds: int,
) -> Floats:
    """The beliefs (class, n) of the pixels ``heard`` after rounds of messages (Potts model)."""
    place = np.stack(np.nonzero(heard))
    features = np.concatenate([place / kernels.reach_px, colour / kernels.colours]).T
    filters: list[tuple[float, Filter]] = [
        (kernels.near_weight, _normalised(_near(heard, kernels.near_px))),
        (kernels.like_weight, _normalised(lattice(features))),
    ]
    unary = np.log(np.clip(prior, _SURE, 1 - _SURE))
    belief = _softmax(unary)
    for _ in range(rounds):
        messages = sum(weight * filtered(belief) for weight, filtered in filters)
        belief = _softmax(unary + messages)
    return belief


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=0))
    return np.asarray(raised / raised.sum(axis=0))


def _normalised(kernel: Filter) -> Filter:
    """``kernel`` (class, n) -> (class, n), without what a pixel says to itself.

    Divided by the roots of both pixels' sums, so that weights mean the same for every image and
    messages go both ways alike.
    """
    ones = np.ones((1, 1))
    total = kernel(ones)
    root = np.sqrt(np.maximum(total, 1e-9))
    return lambda belief: (kernel(belief / root) - belief / root) / root


def _near(heard: NDArray[np.bool_], near_px: float) -> Filter:
    """The kernel exp(-distance^2 / 2 near_px^2) among pixels of a raster."""
    radius = max(int(np.ceil(4 * near_px)), 1)
    tap = np.exp(-0.5 * (np.arange(-radius, radius + 1) / near_px) ** 2)

    def filtered(belief: Floats) -> Floats:
        planes = np.zeros((len(belief), *heard.shape))
        planes[:, heard] = belief
        for axis in (1, 2):
            planes = ndimage.correlate1d(planes, tap, axis=axis, mode="constant")
        return np.asarray(planes[:, heard])

    return filtered


def lattice(features: Floats) -> Filter:
    """The kernel exp(-distance^2 / 2) among points ``features`` (n, d), approximately.

    The filter takes and gives (k, n): k columns of values at the n points.
    """
    spread, blurs = _lattice(features)
    gather = spread.T.tocsr()
    dimensions = features.shape[1]
    # the integral of the Gaussian over what a lattice point stands for
    scale = (4 * np.pi / 3) ** (dimensions / 2) * np.sqrt(dimensions + 1)

    def filtered(belief: Floats) -> Floats:
        values = gather @ np.broadcast_to(belief, (len(belief), len(features))).T
        for blur in blurs:
            values = blur @ values
        return np.asarray(scale * (spread @ values).T)

    return filtered


def _lattice(features: Floats) -> tuple[csr_array, list[csr_array]]:
    """(n, m) how much of each of m lattice points a point is; and a blur (m, m) along each axis."""
    raised = features @ _elevation(features.shape[1])
    count, axes = raised.shape  # d + 1 coordinates that add to 0
    key, weight = _simplex(raised)
    keys = key.reshape(-1, axes)
    _, first, corner = np.unique(_coded(keys), return_index=True, return_inverse=True)
    points = keys[first]
    starts = np.arange(0, count * axes + 1, axes)
    shape = (count, len(points))
    spread = csr_array((weight.ravel(), corner.ravel(), starts), shape=shape)
    return spread, [_blur(points, axis) for axis in range(axes)]


def _elevation(dimensions: int) -> Floats:
    """(d, d + 1) into the plane of coordinates that add to 0, where lattice points are d + 1 apart.

    Scaled so that spreading, blurring and reading back together have the variance of the kernel.
    """
    basis = np.zeros((dimensions, dimensions + 1))
    for row in range(dimensions):
        basis[row, : row + 1] = 1
        basis[row, row + 1] = -(row + 1)
        basis[row] /= np.sqrt((row + 1) * (row + 2))
    return np.asarray(basis * np.sqrt(2 / 3) * (dimensions + 1), np.float64)


def _simplex(raised: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The d + 1 lattice points around each point (n, d + 1, d + 1), and its share of each."""
    axes = raised.shape[1]
    zero = np.rint(raised / axes).astype(np.int64) * axes
    excess = zero.sum(axis=1, keepdims=True) // axes
    rank = np.argsort(np.argsort(-(raised - zero), axis=1, kind="stable"), axis=1, kind="stable")
    rank += excess
    low, high = rank < 0, rank >= axes
    zero += np.where(low, axes, np.where(high, -axes, 0))
    rank += np.where(low, axes, np.where(high, -axes, 0))
    offset = (raised - zero) / axes
    rows = np.arange(len(raised))[:, None]
    share = np.zeros((len(raised), axes + 1))
    np.add.at(share, (rows, axes - 1 - rank), offset)
    np.add.at(share, (rows, axes - rank), -offset)
    share[:, 0] += 1 + share[:, axes]
    step = np.arange(axes)
    corner = np.where(rank[:, None, :] < axes - step[:, None], step[:, None], step[:, None] - axes)
    return np.asarray(zero[:, None, :] + corner), share[:, :axes]


def _blur(points: NDArray[np.int64], axis: int) -> csr_array:
    """(1 + 2 + 1) / 4 of each lattice point and its two neighbours along an axis, where there."""
    count, axes = points.shape
    step = np.ones(axes, np.int64)
    step[axis] = 1 - axes
    rows, columns = [np.arange(count)], [np.arange(count)]
    codes = _coded(points)
    order = np.argsort(codes)
    for sign in (-1, 1):
        wanted = _coded(points + sign * step)
        place = np.minimum(np.searchsorted(codes, wanted, sorter=order), count - 1)
        there = codes[order[place]] == wanted
        rows.append(np.flatnonzero(there))
        columns.append(order[place[there]])
    weights = np.repeat([0.5, 0.25, 0.25], [len(part) for part in rows])
    where = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((weights, where), shape=(count, count))


def _coded(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each lattice point: a polynomial hash, modulo 2^64."""
    code = np.zeros(len(points), np.int64)
    for column in points.T[:-1]:  # the last coordinate follows from the others
        code = code * np.int64(1000003) + column
    return code
