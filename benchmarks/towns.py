"""Drawn towns traced back from their exact masks: APLS, and the same graph in one piece.

    python benchmarks/towns.py [SEED...] [--side-px 4000] [--sample 400]

A side of 4,000 px is a town of 4 km2 at 0.5 m. APLS is against the graph that was drawn: with roads
joined where they cross, as a mask has them, and as it is, with motorways on bridges over streets.
Then the scene is traced in one piece, one strip of all its rows, beside the strips that are the
rule: how far a junction of the one is from the nearest of the other at most, and how much longer
all roads are.
"""

import argparse
from unittest.mock import patch

from scipy.spatial import cKDTree

from terralink import metrics, synthetic, vectorize
from terralink.graph import RoadGraph
from terralink.graph.noding import Noding
from terralink.raster import Raster
from terralink.vectorize.roads.strips import StripBuffer

_PIXEL_M = 0.5


def in_one_piece(mask: Raster) -> RoadGraph:
    """The graph of a scene that is one strip."""
    one = {"strip_rows": mask.grid.height, "halo_rows": 64}
    with patch.object(StripBuffer.__init__, "__kwdefaults__", one):
        return vectorize.trace_roads(mask)


def row(seed: int, side_px: int, sample: int) -> str:
    drawn = synthetic.draw((side_px, side_px), seed=seed, pixel_size_m=_PIXEL_M)
    mask = Raster(drawn.road_mask(0, 0, (side_px, side_px)), drawn.grid)
    found, whole = vectorize.trace_roads(mask), in_one_piece(mask)

    def score(node: Noding) -> float:
        truth = RoadGraph.from_lines(drawn.roads.lines, drawn.roads.crs, noding=node)
        return metrics.apls(truth, found, sample=sample).score

    apart_m = cKDTree(whole.junctions).query(found.junctions)[0].max()
    longer = found.length_m.sum() / whole.length_m.sum() - 1
    return (
        f"| {seed} | {len(found)} | {found.length_m.sum() / 1000:.1f} | {score('crossings'):.3f} "
        f"| {score('ends'):.3f} | {len(found.junctions)} = {len(whole.junctions)} | {apart_m:.2f} "
        f"| {longer:+.4%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--side-px", type=int, default=4000)
    parser.add_argument("--sample", type=int, default=400)
    wanted = parser.parse_args()
    print(
        "| seed | roads | km | APLS, crossings joined | as drawn | junctions | apart m | longer |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for seed in wanted.seeds:
        print(row(seed, wanted.side_px, wanted.sample), flush=True)


if __name__ == "__main__":
    main()
