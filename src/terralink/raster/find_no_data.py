"""Which levels of a scene mean "no data" though nothing in its file says so.

RULE 1: a level that lies absurdly far from the others is no data wherever it is, in any band: -9999
in reflectances, 65535 in 11 bits. Far is further than twice the range of the usual levels. Of those
above, one that few pixels have is a saturated one. In 8 bits nothing is far.
RULE 2: a collar is no data: all bands have one level each, over squares of 15 px, in areas of 1% of
the scene or more that hold its corners or run along half a side.
RULE 3: so is a hole: a rectangle of 2% or more, of a level that nearly no other pixel is near.
RULE 4: the edge of such an area is sudden; what a camera saturates (cloud, snow, water) fades into
what is around it. The edge of a collar may also be like the scene, or be blurred by lossy
compression: then it is so straight that the rest of the scene is convex.
RULE 5: where most pixels are as their neighbours, the scene is a drawing: no level of it is
special, unless it is a black or white collar with a straight edge.
RULE 6: what is left has two colours or more: a uniform scene is one.

Single pixels of the level of an area, and areas of it elsewhere in the scene, stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from terralink.raster.no_data import (
    MARGIN_PX,
    NOISE_LEVELS,
    PATCH_PX,
    SIDE_PX,
    Bools,
    EmptyArea,
    NoData,
    Sample,
    Vector,
    apply_opening,
    as_dtype,
    near_levels,
)

# RULE 1. What programs write where nothing is known, in floats and integers with a sign.
_CUSTOMARY = (
    *(-9999.0, -99999.0, -999999.0, -32767.0, -32768.0, -2147483648.0),
    *(1e20, -1e20, 1e30, -1e30, -1e34, 9.969209968386869e36),
)
_FAR, _FAR_OF_FEW, _FEW = 2.0, 20.0, 16  # in ranges; the second where there are few usual levels
_TAIL = 0.02  # of the different levels at either end, these are not usual
_LEAST_BELOW, _LEAST_ABOVE = 0.0005, 0.005  # share of the pixels
# RULES 2 and 3: shares of the scene, of a side, of the box around a hole, and of other pixels
_LEAST_COLLAR, _LEAST_HOLE, _ALONG, _FULL, _MOST_NEAR = 0.01, 0.02, 0.5, 0.9, 0.002
_MOST_COLOURS = 4  # so many are looked at, the most frequent first
_LEAST_FLAT, _COUNTED = 0.002, 1 << 16  # share of the scene; so many flat pixels tell colours
# RULE 4: steps in ranges of levels, shares of the edge, and of a collar inside the rest's hull
_STEP, _EDGE_PX = 1 / 16, (1, 3)
_SUDDEN, _SUDDEN_HOLE = 0.7, 0.8
_BULGE, _BULGE_OF_PATCHES = 0.15, 0.35
_LOSSY = 4.0  # levels of 8 bits that a lossy collar is off within
# RULES 5 and 6
_DRAWN = 0.6
_LEAST_REST = 0.001


def find_no_data(sample: Sample) -> NoData:
    """What of a scene is no data, as its sample tells; see the rules above."""
    if not sample.valid.any():
        return NoData()
    levels = tuple(_absurd_levels(band[sample.valid]) for band in sample.image)
    far = NoData(levels if any(levels) else ())
    known = sample.valid & ~far.mask_levels(sample.image)
    return replace(far, areas=tuple(_empty_areas(sample, known)) if known.any() else ())


def empty(found: NoData, sample: Sample) -> Bools:
    """Which pixels (row, col) of the sample are no data."""
    mask = found.mask_levels(sample.image)
    for area in found.areas:
        down, across = (np.arange(size) // PATCH_PX for size in mask.shape)
        mask |= _looks_empty(area, sample) & area.cells[np.ix_(down, across)]
    return mask


def _looks_empty(area: EmptyArea, sample: Sample) -> Bools:
    """``EmptyArea.mask`` of the sample, continued at its border as ``NoDataSource`` does."""
    margins = (MARGIN_PX, MARGIN_PX)
    around = np.pad(sample.image, ((0, 0), margins, margins), mode="edge")
    return area.mask(around)[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def _absurd_levels(values: NDArray[Any]) -> Vector:
    """RULE 1, for the values (pixel) of one band."""
    if values.dtype.itemsize == 1:
        return ()
    levels, counts = np.unique(values, return_counts=True)
    floats = levels.astype(float)
    customary = np.isin(levels, as_dtype(_CUSTOMARY, values.dtype)) & (values.dtype.kind != "u")
    usual = floats[~customary]
    if len(usual) <= 1:
        return tuple(floats[customary].tolist())
    cut = int(_TAIL * len(usual))
    low, high = usual[cut], usual[-1 - cut]
    far = (_FAR if len(usual) >= _FEW else _FAR_OF_FEW) * (high - low)
    least = np.where(floats > high, _LEAST_ABOVE, _LEAST_BELOW) * len(values)
    often = customary | (counts >= np.maximum(least, 2))
    return tuple(floats[(np.maximum(low - floats, floats - high) > far) & often].tolist())


def _empty_areas(sample: Sample, known: Bools) -> Iterator[EmptyArea]:
    """RULES 2 to 6, colour by colour; ``known`` (row, col) is what may be no data."""
    flat = _equal_to_neighbours(sample.image) & known
    found = False
    for levels, within in _colours(sample.image, flat):
        if within and found:
            return
        area = _Colour(sample, known, flat, levels, within).area
        if area is not None:
            yield area
            found, known = True, known & ~_looks_empty(area, sample)


def _colours(image: NDArray[Any], flat: Bools) -> Iterator[tuple[Vector, float]]:
    """The colours of flat areas, the most frequent first; then, of bytes, about black and white."""
    all_flat = image[:, flat]
    if all_flat.shape[1] >= _LEAST_FLAT * flat.size:
        every = 1 + all_flat.shape[1] // _COUNTED
        pixels = np.ascontiguousarray(all_flat[:, ::every].T)
        packed = pixels.view([("", pixels.dtype)] * pixels.shape[1])[:, 0]
        colours, counts = np.unique(packed, return_counts=True)
        for index in np.argsort(-counts, kind="stable")[:_MOST_COLOURS]:
            if counts[index] * every >= _LEAST_FLAT * flat.size:
                yield tuple(float(level) for level in colours[index]), 0.0
    if image.dtype == np.uint8:
        for level in (0.0, 255.0):
            yield (level,) * len(image), _LOSSY


@dataclass(frozen=True, eq=False)
class _Colour:
    """One colour of a sample, and whether an area of it is no data."""

    sample: Sample
    known: Bools
    flat: Bools
    levels: Vector
    within: float

    @property
    def area(self) -> EmptyArea | None:
        """The collar or hole of this colour, where there is one."""
        size, a_square = self.known.size, SIDE_PX**2
        collar = np.isin(self._parts, [part for part in self._border_parts if part])
        if collar.sum() >= max(_LEAST_COLLAR * size, a_square) and self._leaves_colours(collar):
            special = self._is_black_or_white or not self._is_drawn
            straight = special and self._is_straight(collar)
            sudden = not self.within and self._suddenness(collar) >= _SUDDEN
            if straight or (sudden and not self._is_drawn):
                return self._area(collar, noisy=self._is_black_or_white and not sudden)
        hole = np.isin(self._parts, self._rectangles(max(_LEAST_HOLE * size, a_square)))
        if hole.any() and not (self._is_drawn or self.within) and self._stands_alone(hole):
            return self._area(hole, noisy=False)
        return None

    @cached_property
    def _match(self) -> Bools:
        return near_levels(self.sample.image, self.levels, self.within) & self.known

    @cached_property
    def _parts(self) -> NDArray[np.intp]:
        """Connected parts (row, col) of full squares, counted from 1.

        Continued at the border, where a part may be narrower than the square.
        """
        padded = apply_opening(np.pad(self._match, SIDE_PX, mode="edge"), SIDE_PX)
        inner = slice(SIDE_PX, -SIDE_PX)
        parts, _ = ndimage.label(padded[inner, inner])
        return np.asarray(parts)

    @property
    def _border_parts(self) -> set[int]:
        """RULE 2: those that hold a corner or run along half a side."""
        parts = self._parts
        found = {int(parts[row, col]) for row in (0, -1) for col in (0, -1)}
        for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
            counts = np.bincount(side)
            found |= set(np.flatnonzero(counts >= _ALONG * len(side)).tolist())
        return found

    def _rectangles(self, least_px: float) -> list[int]:
        """RULE 3: parts that fill their box."""
        counts = np.bincount(self._parts.ravel())
        return [
            number
            for number, box in enumerate(ndimage.find_objects(self._parts), start=1)
            if counts[number] >= max(least_px, _FULL * self._parts[box].size)
        ]

    def _stands_alone(self, hole: Bools) -> bool:
        """RULES 3 and 4, of a hole."""
        reach = ndimage.maximum_filter(hole.view(np.uint8), 2 * _EDGE_PX[1] + 1) > 0
        others = self.sample.image[:, self.known & ~reach]
        near = near_levels(others[:, None], self.levels, self._step)
        few = near.sum() <= _MOST_NEAR * near.size
        return few and self._suddenness(hole) >= _SUDDEN_HOLE and self._leaves_colours(hole)

    @cached_property
    def _step(self) -> float:
        rest = self.sample.image[:, self.known & ~self._match]
        low, high = np.percentile(rest, (1, 99)) if rest.size else (0, 0)
        return float(high - low) * _STEP

    def _suddenness(self, area: Bools) -> float:
        """RULE 4: the share of what is 2 or 3 px outside that is further off than a step.

        Patches that are side by side in the sample may be far apart: their edges tell nothing. An
        area that ends nowhere else is sudden.
        """
        inner, outer = (
            ndimage.maximum_filter(area.view(np.uint8), 2 * px + 1) > 0 for px in _EDGE_PX
        )
        edge = outer & ~inner & self.known
        if self.sample.has_gaps:
            for axis, length in enumerate(edge.shape):
                place = np.arange(length) % PATCH_PX
                inside = (place >= _EDGE_PX[1]) & (place < PATCH_PX - _EDGE_PX[1])
                edge &= np.expand_dims(inside, 1 - axis)
        if not edge.any():
            return 1.0 if self.sample.has_gaps else 0.0
        near = near_levels(self.sample.image[:, edge][:, None], self.levels, self._step)
        return float(1 - near.mean())

    def _is_straight(self, collar: Bools) -> bool:
        """RULE 4: whether nearly nothing of the collar is inside the hull of the rest."""
        parts, count = ndimage.label(~collar)
        if not count:
            return False
        rest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        rows = np.flatnonzero(rest.any(axis=1))
        first = rest[rows].argmax(axis=1)
        last = rest.shape[1] - rest[rows, ::-1].argmax(axis=1)
        corners = [(x, y + down) for x in (first, last) for y in (rows,) for down in (0, 1)]
        hull = shapely.MultiPoint(
            np.concatenate([np.column_stack(pair) for pair in corners])
        ).convex_hull
        bulge = (hull.area - rest.sum()) / collar.sum()
        return bool(bulge <= (_BULGE_OF_PATCHES if self.sample.has_gaps else _BULGE))

    @cached_property
    def _is_black_or_white(self) -> bool:
        dtype = self.sample.image.dtype
        most = 0 if dtype.kind == "f" else np.iinfo(dtype).max
        return any(
            all(abs(each - end) <= NOISE_LEVELS for each in self.levels) for end in (0, most)
        )

    @cached_property
    def _is_drawn(self) -> bool:
        """RULE 5."""
        rest = self.known & ~self._match
        return bool(self.flat[rest].sum() >= _DRAWN * rest.sum())

    def _leaves_colours(self, area: Bools) -> bool:
        """RULE 6."""
        rest = self.sample.image[:, self.known & ~area]
        enough = rest.shape[1] >= max(_LEAST_REST * area.size, 1)
        return bool(enough and (rest != rest[:, :1]).any())

    def _area(self, mask: Bools, *, noisy: bool) -> EmptyArea:
        near = ndimage.binary_dilation(self.sample.cells(mask), np.ones((3, 3)))
        starts = self.sample.row_starts, self.sample.col_starts
        return EmptyArea(self.levels, near, *starts, within=self.within, noisy=noisy)


def _equal_to_neighbours(image: NDArray[Any]) -> Bools:
    """Where all bands (band, row, col) are as those of the pixel to the left and of that above."""
    equal = np.ones(image.shape[1:], bool)
    equal[:, 1:] &= (image[:, :, 1:] == image[:, :, :-1]).all(axis=0)
    equal[1:] &= (image[:, 1:] == image[:, :-1]).all(axis=0)
    return equal
