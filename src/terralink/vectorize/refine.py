"""Probabilities refined by the colours of the scene: mean field in a fully connected CRF.

    Krähenbühl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge
    Potentials, NeurIPS 2011; used in DeepLab (Chen et al. 2018), no longer in DeepLabV3

Every pixel sends its belief to every other pixel, weighted by two Gaussian kernels: one of
distance, and one of distance and colour. So pixels that are near and similar get the same class.

The kernel of distance is exact up to four standard deviations. The kernel of distance and colour is
approximated on a permutohedral lattice in five dimensions (Adams, Baek and Davis 2010): a sparse
matrix distributes each pixel to the six corners of its simplex (splat), sparse matrices blur along
the six axes, and the transpose of the first reads the result (slice).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array

from terralink._typing import Floats
from terralink.errors import InputError
from terralink.raster import Raster
from terralink.vectorize.bands import assign_scale, check_probabilities

Filter = Callable[[Floats], Floats]

_MIN_PROBABILITY = 1e-5  # probabilities are at least this far from 0 and 1: their log is finite


@dataclass(frozen=True)
class Kernels:
    """Standard deviations and weights of the two kernels.

    smooth_px, smooth_weight        the kernel of distance, which smooths
    bilateral_px, bilateral_colour  the kernel of distance and colour (0..255): it follows edges
    bilateral_weight                the weight of the latter
    """

    smooth_px: float = 3.0
    smooth_weight: float = 3.0
    bilateral_px: float = 50.0
    bilateral_colour: float = 10.0
    bilateral_weight: float = 5.0


_DEFAULT = Kernels()


def refine_with_crf(
    prob: Raster, image: Raster, *, kernels: Kernels = _DEFAULT, rounds: int = 5
) -> Raster:
    """Probabilities that follow the edges of the image, on the same grid as float32.

    prob   (row, col) of one class against the rest, or (class, row, col); 0..1 or bytes of 0..255
    image  (band, row, col) values of 0..255, usually of three bands

    Pixels that are not valid, or not a number, have no influence and stay as they are. The whole
    raster is in memory, with about 1 kB a pixel: refine a large scene in windows.

    Raises ``InputError`` when the two are not on one grid.
    """
    if prob.grid.shape != image.grid.shape:
        raise InputError(
            f"probabilities of {prob.grid.shape} and an image of {image.grid.shape} pixels: "
            "both must be on one grid"
        )
    if rounds < 1:
        raise InputError(f"at least one round is needed, not {rounds}")
    belief, single = _to_beliefs(prob)
    known = np.isfinite(belief).all(axis=0) & np.isfinite(image.array).all(axis=0)
    for valid in (prob.valid, image.valid):
        if valid is not None:
            known &= valid
    bands = image.array.reshape(-1, *image.grid.shape)
    refined = belief.copy()
    if known.any():
        refined[:, known] = _mean_field(belief[:, known], bands[:, known], known, kernels, rounds)
    array = (refined[1] if single else refined).astype(np.float32)
    return replace(prob, array=array, scale=None)


def _to_beliefs(prob: Raster) -> tuple[Floats, bool]:
    """(class, row, col) beliefs that add up to 1, and whether ``prob`` has a single class."""
    prob = assign_scale(prob)
    array = prob.array * np.float64(prob.scale)
    check_probabilities(array)
    if array.ndim == 3 and len(array) > 1:
        total = array.sum(axis=0)
        return np.divide(array, total, out=np.full_like(array, np.nan), where=total > 0), False
    positive = array.reshape(prob.grid.shape)
    return np.stack([1 - positive, positive]), True


def _mean_field(
    prior: Floats,
    colour: NDArray[Any],
    known: NDArray[np.bool_],
    kernels: Kernels,
    rounds: int,
) -> Floats:
    """(class, n) beliefs of the pixels ``known`` after rounds of messages (Potts model)."""
    position = np.stack(np.nonzero(known))
    features = np.concatenate(
        [position / kernels.bilateral_px, colour / kernels.bilateral_colour]
    ).T
    filters: list[tuple[float, Filter]] = [
        (kernels.smooth_weight, _normalize(_build_distance_filter(known, kernels.smooth_px))),
        (kernels.bilateral_weight, _normalize(build_lattice_filter(features))),
    ]
    unary = np.log(np.clip(prior, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY))
    belief = _softmax(unary)
    for _ in range(rounds):
        messages = sum(weight * send(belief) for weight, send in filters)
        belief = _softmax(unary + messages)
    return belief


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=0))
    return np.asarray(exponentials / exponentials.sum(axis=0))


def _normalize(kernel: Filter) -> Filter:
    """``kernel`` (class, n) -> (class, n), without the message of a pixel to itself.

    It is divided by the square roots of the sums of both pixels. So weights have the same meaning
    in every image, and messages are symmetric.
    """
    ones = np.ones((1, 1))
    total = kernel(ones)
    root = np.sqrt(np.maximum(total, 1e-9))
    return lambda belief: (kernel(belief / root) - belief / root) / root


def _build_distance_filter(known: NDArray[np.bool_], smooth_px: float) -> Filter:
    """The kernel exp(-distance^2 / 2 smooth_px^2) among pixels of a raster."""
    radius = max(int(np.ceil(4 * smooth_px)), 1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / smooth_px) ** 2)

    def send(belief: Floats) -> Floats:
        planes = np.zeros((len(belief), *known.shape))
        planes[:, known] = belief
        for axis in (1, 2):
            planes = ndimage.correlate1d(planes, weights, axis=axis, mode="constant")
        return np.asarray(planes[:, known])

    return send


def build_lattice_filter(features: Floats) -> Filter:
    """The kernel exp(-distance^2 / 2) between points ``features`` (n, d), approximately.

    The filter takes and returns (k, n): k columns of values at the n points.
    """
    splat, blurs = _build_lattice(features)
    splat_transposed = splat.T.tocsr()
    dimensions = features.shape[1]
    # the integral of the Gaussian over the cell of a lattice point
    scale = (4 * np.pi / 3) ** (dimensions / 2) * np.sqrt(dimensions + 1)

    def send(belief: Floats) -> Floats:
        values = splat_transposed @ np.broadcast_to(belief, (len(belief), len(features))).T
        for blur in blurs:
            values = blur @ values
        return np.asarray(scale * (splat @ values).T)

    return send


def _build_lattice(features: Floats) -> tuple[csr_array, list[csr_array]]:
    """(n, m) the weight of each point at m lattice points, and a blur (m, m) along each axis."""
    elevated = features @ _build_elevation(features.shape[1])
    count, axes = elevated.shape  # d + 1 coordinates that add up to 0
    key, weight = _find_simplex(elevated)
    keys = key.reshape(-1, axes)
    _, first, corner = np.unique(_hash_points(keys), return_index=True, return_inverse=True)
    points = keys[first]
    starts = np.arange(0, count * axes + 1, axes)
    shape = (count, len(points))
    splat = csr_array((weight.ravel(), corner.ravel(), starts), shape=shape)
    return splat, [_build_blur(points, axis) for axis in range(axes)]


def _build_elevation(dimensions: int) -> Floats:
    """(d, d + 1) matrix into the plane of coordinates that add up to 0.

    Lattice points are d + 1 apart there. It is scaled so that splat, blur and slice together have
    the variance of the kernel.
    """
    basis = np.zeros((dimensions, dimensions + 1))
    for row in range(dimensions):
        basis[row, : row + 1] = 1
        basis[row, row + 1] = -(row + 1)
        basis[row] /= np.sqrt((row + 1) * (row + 2))
    return np.asarray(basis * np.sqrt(2 / 3) * (dimensions + 1), np.float64)


def _find_simplex(elevated: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The d + 1 lattice points around each point (n, d + 1, d + 1), and its weight at each."""
    axes = elevated.shape[1]
    zero = np.rint(elevated / axes).astype(np.int64) * axes
    excess = zero.sum(axis=1, keepdims=True) // axes
    rank = np.argsort(np.argsort(-(elevated - zero), axis=1, kind="stable"), axis=1, kind="stable")
    rank += excess
    low, high = rank < 0, rank >= axes
    zero += np.where(low, axes, np.where(high, -axes, 0))
    rank += np.where(low, axes, np.where(high, -axes, 0))
    offset = (elevated - zero) / axes
    rows = np.arange(len(elevated))[:, None]
    weight = np.zeros((len(elevated), axes + 1))
    np.add.at(weight, (rows, axes - 1 - rank), offset)
    np.add.at(weight, (rows, axes - rank), -offset)
    weight[:, 0] += 1 + weight[:, axes]
    step = np.arange(axes)
    corner = np.where(rank[:, None, :] < axes - step[:, None], step[:, None], step[:, None] - axes)
    return np.asarray(zero[:, None, :] + corner), weight[:, :axes]


def _build_blur(points: NDArray[np.int64], axis: int) -> csr_array:
    """(1 + 2 + 1) / 4 of each lattice point and its two neighbours along an axis, if they exist."""
    count, axes = points.shape
    step = np.ones(axes, np.int64)
    step[axis] = 1 - axes
    rows, columns = [np.arange(count)], [np.arange(count)]
    codes = _hash_points(points)
    order = np.argsort(codes)
    for sign in (-1, 1):
        neighbour = _hash_points(points + sign * step)
        position = np.minimum(np.searchsorted(codes, neighbour, sorter=order), count - 1)
        exists = codes[order[position]] == neighbour
        rows.append(np.flatnonzero(exists))
        columns.append(order[position[exists]])
    weights = np.repeat([0.5, 0.25, 0.25], [len(part) for part in rows])
    places = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((weights, places), shape=(count, count))


def _hash_points(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each lattice point: a polynomial hash, modulo 2^64."""
    code = np.zeros(len(points), np.int64)
    for column in points.T[:-1]:  # the last coordinate is minus the sum of the others
        code = code * np.int64(1000003) + column
    return code
