"""Time of a mask to a road graph, beside that of its skeleton alone, on drawn towns.

    python benchmarks/roads.py [SIDE_PX...] [--rounds N]

Towns are drawn at 0.5 m per pixel; the mask of a side over 4,096 is that town laid out again and
again, for drawing it takes longer than tracing. Both times are seconds of CPU, the best of the
rounds: the wall's are the same where nothing else runs, for both use one core. The peak is what
tracing takes beside the mask, by tracemalloc, in a run of its own.
"""

import argparse
import tracemalloc
from collections.abc import Callable
from functools import partial
from time import process_time
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from skimage.morphology import skeletonize

from terralink import synthetic, vectorize
from terralink.raster import Grid, Raster

_DRAWN_PX = 4096
_PIXEL_M = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sides_px", nargs="*", type=int, default=[2048, 4096, 10000])
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    shape = (min(_DRAWN_PX, max(wanted.sides_px)),) * 2
    drawn = synthetic.draw(shape, seed=2, pixel_size_m=_PIXEL_M).road_mask(0, 0, shape)
    print("| side in px | roads | skeleton s | graph s | ratio | s a Gpx | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for side_px in wanted.sides_px:
        repeats = -(-side_px // len(drawn))
        mask = np.tile(drawn, (repeats, repeats))[:side_px, :side_px]
        prob = _raster(mask)
        skeleton_s = _best_s(partial(skeletonize, mask), wanted.rounds)
        graph_s = _best_s(partial(vectorize.trace_roads, prob), wanted.rounds)
        tracemalloc.start()
        count = len(vectorize.trace_roads(prob))
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        print(
            f"| {side_px} | {count:,} | {skeleton_s:.2f} | {graph_s:.2f} "
            f"| {graph_s / skeleton_s:.2f} | {graph_s / side_px**2 * 1e9:.0f} | {peak_mb:.0f} |",
            flush=True,
        )


def _raster(mask: Any) -> Raster:
    place = Affine(_PIXEL_M, 0, 600000, 0, -_PIXEL_M, 4000000)
    return Raster(mask, Grid(mask.shape, place, CRS.from_epsg(32611)))


def _best_s(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = process_time()
        work()
        times.append(process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
