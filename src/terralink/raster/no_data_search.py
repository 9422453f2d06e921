"""The search for pixel values that mean "no data" although the file of a scene does not say so.

RULE 1: an outlier is no data at every position, in any band: -9999 in reflectances, 65535 in 11-bit
data. An outlier is further from the usual values than twice their range. One above them that only
few pixels have is a saturated value. In 8 bits there are no outliers.
RULE 2: a collar is no data: squares of 15 px in which each band has one value, in areas of at least
1% of the scene that contain its corners or run along half a side.
RULE 3: a hole is no data: a rectangle of at least 2%, of a value that nearly no other pixel has.
RULE 4: the edge of such an area is sharp, while a saturated area (cloud, snow, water) fades into
its surroundings. The edge of a collar may also be similar to the scene, or blurred by lossy
compression; then it is so straight that the rest of the scene is convex.
RULE 5: where most pixels equal their neighbours, the scene is a drawing: none of its values is
special, except in a black or white collar with a straight edge.
RULE 6: the rest of the scene has two colours or more, so a uniform scene has no area.

Single pixels with the value of an area, and areas of it elsewhere in the scene, are not masked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from terralink._typing import Bools
from terralink.raster.no_data import (
    MARGIN_PX,
    MAX_NOISE,
    PATCH_PX,
    SIDE_PX,
    NoData,
    NoDataArea,
    Sample,
    Values,
    apply_opening,
    cast_values,
    match_values,
)

# RULE 1. What programs write for unknown pixels, as floats and signed integers.
_CUSTOMARY = (
    *(-9999.0, -99999.0, -999999.0, -32767.0, -32768.0, -2147483648.0),
    *(1e20, -1e20, 1e30, -1e30, -1e34, 9.969209968386869e36),
)
_FAR, _FAR_OF_FEW, _FEW = 2.0, 20.0, 16  # in ranges; the second for few usual values
_TAIL = 0.02  # this part of the distinct values at either end is not usual
_LEAST_BELOW, _LEAST_ABOVE = 0.0005, 0.005  # share of the pixels
# RULES 2 and 3: shares of the scene, of a side, of the box around a hole, and of other pixels
_LEAST_COLLAR, _LEAST_HOLE, _ALONG, _FULL, _MAX_NEAR = 0.01, 0.02, 0.5, 0.9, 0.002
_MAX_COLOURS = 4  # the number of colours that are tested, the most frequent first
_LEAST_FLAT, _MAX_COUNTED = 0.002, 1 << 16  # share of the scene; flat pixels to count colours
# RULE 4: steps in ranges of values, shares of the edge, and of a collar inside the rest's hull
_STEP, _EDGE_PX = 1 / 16, (1, 3)
_SHARP, _SHARP_HOLE = 0.7, 0.8
_BULGE, _BULGE_OF_PATCHES = 0.15, 0.35
_LOSSY = 4.0  # 8-bit values of a lossy collar differ by at most this
# RULES 5 and 6
_DRAWING_SHARE = 0.6
_LEAST_REST = 0.001


def find_no_data(sample: Sample) -> NoData:
    """The values and areas of a scene that are no data, by its sample; see the rules above."""
    if not sample.valid.any():
        return NoData()
    outliers = tuple(_find_outliers(band[sample.valid]) for band in sample.image)
    no_data = NoData(outliers if any(outliers) else ())
    known = sample.valid & ~no_data.mask_values(sample.image)
    return replace(no_data, areas=tuple(_find_areas(sample, known)) if known.any() else ())


def mask_no_data(no_data: NoData, sample: Sample) -> Bools:
    """Which pixels (row, col) of the sample are no data."""
    mask = no_data.mask_values(sample.image)
    for area in no_data.areas:
        patch_rows, patch_cols = (np.arange(size) // PATCH_PX for size in mask.shape)
        mask |= _mask_area(area, sample) & area.patches[np.ix_(patch_rows, patch_cols)]
    return mask


def _mask_area(area: NoDataArea, sample: Sample) -> Bools:
    """``NoDataArea.mask`` of the sample, whose border is extended as in ``NoDataSource``."""
    margins = (MARGIN_PX, MARGIN_PX)
    padded = np.pad(sample.image, ((0, 0), margins, margins), mode="edge")
    return area.mask(padded)[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def _find_outliers(pixels: NDArray[Any]) -> Values:
    """RULE 1, for the pixels of one band."""
    if pixels.dtype.itemsize == 1:
        return ()
    values, counts = np.unique(pixels, return_counts=True)
    floats = values.astype(float)
    customary = np.isin(values, cast_values(_CUSTOMARY, pixels.dtype)) & (pixels.dtype.kind != "u")
    usual = floats[~customary]
    if len(usual) <= 1:
        return tuple(floats[customary].tolist())
    cut = int(_TAIL * len(usual))
    low, high = usual[cut], usual[-1 - cut]
    far = (_FAR if len(usual) >= _FEW else _FAR_OF_FEW) * (high - low)
    least = np.where(floats > high, _LEAST_ABOVE, _LEAST_BELOW) * len(pixels)
    is_frequent = customary | (counts >= np.maximum(least, 2))
    is_far = np.maximum(low - floats, floats - high) > far
    return tuple(floats[is_far & is_frequent].tolist())


def _find_areas(sample: Sample, known: Bools) -> Iterator[NoDataArea]:
    """RULES 2 to 6, for each colour; ``known`` (row, col) are the pixels to search."""
    flat = _equal_to_neighbours(sample.image) & known
    has_area = False
    for values, tolerance in _colours(sample.image, flat):
        if tolerance and has_area:
            return
        area = _Colour(sample, known, flat, values, tolerance).area
        if area is not None:
            yield area
            has_area, known = True, known & ~_mask_area(area, sample)


def _colours(image: NDArray[Any], flat: Bools) -> Iterator[tuple[Values, float]]:
    """Colours of flat areas, the most frequent first; of bytes also nearly black and white."""
    all_flat = image[:, flat]
    if all_flat.shape[1] >= _LEAST_FLAT * flat.size:
        step = 1 + all_flat.shape[1] // _MAX_COUNTED
        pixels = np.ascontiguousarray(all_flat[:, ::step].T)
        packed = pixels.view([("", pixels.dtype)] * pixels.shape[1])[:, 0]
        colours, counts = np.unique(packed, return_counts=True)
        for index in np.argsort(-counts, kind="stable")[:_MAX_COLOURS]:
            if counts[index] * step >= _LEAST_FLAT * flat.size:
                yield tuple(float(value) for value in colours[index]), 0.0
    if image.dtype == np.uint8:
        for value in (0.0, 255.0):
            yield (value,) * len(image), _LOSSY


@dataclass(frozen=True, eq=False)
class _Colour:
    """One colour of a sample, to test whether an area of it is no data."""

    sample: Sample
    known: Bools
    flat: Bools
    values: Values
    tolerance: float

    @property
    def area(self) -> NoDataArea | None:
        """The collar or hole of this colour, if any."""
        size, a_square = self.known.size, SIDE_PX**2
        collar = np.isin(self._parts, [part for part in self._border_parts if part])
        if collar.sum() >= max(_LEAST_COLLAR * size, a_square) and self._rest_has_colours(collar):
            is_special = self._is_black_or_white or not self._is_drawing
            straight = is_special and self._is_straight(collar)
            sharp = not self.tolerance and self._sharpness(collar) >= _SHARP
            if straight or (sharp and not self._is_drawing):
                return self._area(collar, has_noise=self._is_black_or_white and not sharp)
        hole = np.isin(self._parts, self._rectangles(max(_LEAST_HOLE * size, a_square)))
        if hole.any() and not (self._is_drawing or self.tolerance) and self._is_isolated(hole):
            return self._area(hole, has_noise=False)
        return None

    @cached_property
    def _match(self) -> Bools:
        return match_values(self.sample.image, self.values, self.tolerance) & self.known

    @cached_property
    def _parts(self) -> NDArray[np.intp]:
        """Connected parts (row, col) of full squares, numbered from 1.

        The border is extended, because a part may be narrower than the square there.
        """
        padded = apply_opening(np.pad(self._match, SIDE_PX, mode="edge"), SIDE_PX)
        inner = slice(SIDE_PX, -SIDE_PX)
        parts, _ = ndimage.label(padded[inner, inner])
        return np.asarray(parts)

    @property
    def _border_parts(self) -> set[int]:
        """RULE 2: parts that contain a corner or run along half a side."""
        parts = self._parts
        numbers = {int(parts[row, col]) for row in (0, -1) for col in (0, -1)}
        for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
            counts = np.bincount(side)
            numbers |= set(np.flatnonzero(counts >= _ALONG * len(side)).tolist())
        return numbers

    def _rectangles(self, least_px: float) -> list[int]:
        """RULE 3: parts that fill their bounding box."""
        counts = np.bincount(self._parts.ravel())
        return [
            number
            for number, box in enumerate(ndimage.find_objects(self._parts), start=1)
            if counts[number] >= max(least_px, _FULL * self._parts[box].size)
        ]

    def _is_isolated(self, hole: Bools) -> bool:
        """RULES 3 and 4 for a hole."""
        reach = ndimage.maximum_filter(hole.view(np.uint8), 2 * _EDGE_PX[1] + 1) > 0
        others = self.sample.image[:, self.known & ~reach]
        near = match_values(others[:, None], self.values, self._step)
        is_rare = near.sum() <= _MAX_NEAR * near.size
        return is_rare and self._sharpness(hole) >= _SHARP_HOLE and self._rest_has_colours(hole)

    @cached_property
    def _step(self) -> float:
        rest = self.sample.image[:, self.known & ~self._match]
        low, high = np.percentile(rest, (1, 99)) if rest.size else (0, 0)
        return float(high - low) * _STEP

    def _sharpness(self, area: Bools) -> float:
        """RULE 4: the share of pixels 2 or 3 px outside that differ by more than a step.

        Adjacent patches of the sample may be far apart in the scene, so their common edges are left
        out. An area without any other edge is sharp.
        """
        inner, outer = (
            ndimage.maximum_filter(area.view(np.uint8), 2 * px + 1) > 0 for px in _EDGE_PX
        )
        edge = outer & ~inner & self.known
        if self.sample.has_gaps:
            for axis, length in enumerate(edge.shape):
                position = np.arange(length) % PATCH_PX
                inside = (position >= _EDGE_PX[1]) & (position < PATCH_PX - _EDGE_PX[1])
                edge &= np.expand_dims(inside, 1 - axis)
        if not edge.any():
            return 1.0 if self.sample.has_gaps else 0.0
        near = match_values(self.sample.image[:, edge][:, None], self.values, self._step)
        return float(1 - near.mean())

    def _is_straight(self, collar: Bools) -> bool:
        """RULE 4: whether the convex hull of the rest contains nearly nothing of the collar."""
        parts, count = ndimage.label(~collar)
        if not count:
            return False
        rest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        rows = np.flatnonzero(rest.any(axis=1))
        first = rest[rows].argmax(axis=1)
        last = rest.shape[1] - rest[rows, ::-1].argmax(axis=1)
        corners = [(x, rows + offset) for x in (first, last) for offset in (0, 1)]
        hull = shapely.MultiPoint(
            np.concatenate([np.column_stack(pair) for pair in corners])
        ).convex_hull
        bulge = (hull.area - rest.sum()) / collar.sum()
        return bool(bulge <= (_BULGE_OF_PATCHES if self.sample.has_gaps else _BULGE))

    @cached_property
    def _is_black_or_white(self) -> bool:
        dtype = self.sample.image.dtype
        white = 0 if dtype.kind == "f" else np.iinfo(dtype).max
        return any(
            all(abs(value - end) <= MAX_NOISE for value in self.values) for end in (0, white)
        )

    @cached_property
    def _is_drawing(self) -> bool:
        """RULE 5."""
        rest = self.known & ~self._match
        return bool(self.flat[rest].sum() >= _DRAWING_SHARE * rest.sum())

    def _rest_has_colours(self, area: Bools) -> bool:
        """RULE 6."""
        rest = self.sample.image[:, self.known & ~area]
        enough = rest.shape[1] >= max(_LEAST_REST * area.size, 1)
        return bool(enough and (rest != rest[:, :1]).any())

    def _area(self, mask: Bools, *, has_noise: bool) -> NoDataArea:
        patches = ndimage.binary_dilation(self.sample.patches_with(mask), np.ones((3, 3)))
        starts = self.sample.row_starts, self.sample.col_starts
        return NoDataArea(
            self.values, patches, *starts, tolerance=self.tolerance, has_noise=has_noise
        )


def _equal_to_neighbours(image: NDArray[Any]) -> Bools:
    """Where all bands (band, row, col) equal those of the pixels to the left and above."""
    equal = np.ones(image.shape[1:], bool)
    equal[:, 1:] &= (image[:, :, 1:] == image[:, :, :-1]).all(axis=0)
    equal[1:] &= (image[:, 1:] == image[:, :-1]).all(axis=0)
    return equal
