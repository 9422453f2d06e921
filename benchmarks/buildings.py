"""Buildings of a mask to regular polygons, beside GDAL's outlines in rectangles.

    python benchmarks/buildings.py [BUILDINGS] [--pixel-size M]

The mask is a field of L-shaped and rectangular roofs, each turned its own way, so that a count can
be asked for. The baseline, timed in the same run, is what comes to mind first: `rasterio.features.
shapes`, then shapely's `minimum_rotated_rectangle` of each. Times are of one core's CPU; accuracy
is IoU with the roofs that were burnt, the mean over all of them.
"""

import argparse
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import shapes
from shapely.affinity import rotate, translate
from shapely.geometry import shape

from terralink.raster import Grid, Raster
from terralink.vector.rasterize import burn
from terralink.vectorize import BuildingOptions, trace_buildings

Polygons = NDArray[np.object_]

_LOT_M = 24.0


def roofs(count: int, grid: Grid) -> Polygons:
    """Roofs of 8 to 14 m by 6 to 10 m, every second with a wing, a lot each."""
    rng = np.random.default_rng(0)
    across = int(grid.width * grid.transform.a // _LOT_M)
    made = []
    for number in range(count):
        wide, deep = rng.uniform((8, 6), (14, 10))
        roof = shapely.box(0, 0, wide, deep)
        if number % 2:
            roof |= shapely.box(0, 0, wide / 2, deep + 4)
        row, col = divmod(number, across)
        placed = translate(roof, _LOT_M * (col + 0.25), -_LOT_M * (row + 0.75))
        placed = translate(placed, grid.transform.c, grid.transform.f)
        made.append(rotate(placed, rng.uniform(0, 90)))
    return np.array(made, dtype=object)


def rectangles(mask: Raster) -> Polygons:
    """The baseline."""
    levels = mask.array.astype(np.uint8)
    found = [shape(ring) for ring, level in shapes(levels, levels > 0, 4, mask.grid.transform)]
    return np.array([outline.minimum_rotated_rectangle for outline in found], dtype=object)


def scored(name: str, made: Callable[[], Any], truth: Polygons, baseline_s: float) -> float:
    start = process_time()
    found = np.asarray(made(), dtype=object)
    took_s = process_time() - start
    nearest = found[shapely.STRtree(found).nearest(shapely.centroid(truth))]
    shared = shapely.area(shapely.intersection(truth, nearest))
    iou = (shared / (shapely.area(truth) + shapely.area(nearest) - shared)).mean()
    ratio = took_s / (baseline_s or took_s)
    print(f"| {name} | {len(found)} | {took_s:.2f} | {ratio:.2f} | {iou:.4f} |", flush=True)
    return took_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("buildings", nargs="?", type=int, default=10_000)
    parser.add_argument("--pixel-size", type=float, default=0.3)
    wanted = parser.parse_args()
    side_px = int(np.ceil(np.sqrt(wanted.buildings)) * _LOT_M / wanted.pixel_size) + 1
    place = Affine(wanted.pixel_size, 0, 664000, 0, -wanted.pixel_size, 4006000)
    grid = Grid((side_px, side_px), place, CRS.from_epsg(32611))
    truth = roofs(wanted.buildings, grid)
    mask = Raster(burn(truth, grid), grid)
    print(f"{side_px} x {side_px} px of {wanted.pixel_size} m, {wanted.buildings} buildings\n")
    print("| | polygons | CPU s | ratio | IoU |\n|---|---|---|---|---|")
    baseline_s = scored("shapes + minimum_rotated_rectangle", lambda: rectangles(mask), truth, 0)
    outlines = lambda: trace_buildings(mask, BuildingOptions(right_angles=False)).geometry  # noqa: E731
    scored("buildings, simplified outlines", outlines, truth, baseline_s)
    scored("buildings, regular", lambda: trace_buildings(mask).geometry, truth, baseline_s)


if __name__ == "__main__":
    main()
