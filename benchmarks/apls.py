"""The cost of APLS against the size of a city: all ways, and those of a sample.

    python benchmarks/apls.py [SIDE...] [--sample 1000] [--all-up-to ROADS] [--picture FILE]

A city is a lattice of SIDE x SIDE crossings 90 m apart; the prediction has its crossings 2 m off on
average and one road in twenty missing. Seconds are of CPU time on one core. The baseline is timed
in the same run: networkx's Dijkstra from some of the smallest city's control points, scaled to the
four searches from all of them that a comparison takes when done one by one.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from time import process_time

import networkx as nx
import numpy as np
import shapely

from terralink.graph import RoadGraph
from terralink.metrics import apls
from terralink.metrics.apls_score import find_control_points

_STEP_M = 90.0
_SPACING_M = 50.0


@dataclass(frozen=True)
class Row:
    """One comparison; ``sampled`` is 0 where all ways were compared."""

    roads: int
    points: int
    sampled: int
    score: float
    error: float
    took_s: float


def lattice(side: int, *, shift_m: float = 0.0, missing: float = 0.0, seed: int = 0) -> RoadGraph:
    """Streets between side x side crossings."""
    rng = np.random.default_rng(seed)
    xy = np.moveaxis(np.mgrid[:side, :side], 0, -1) * _STEP_M + rng.normal(
        0, shift_m, (side, side, 2)
    )
    east = np.stack([xy[:-1], xy[1:]], axis=2).reshape(-1, 2, 2)
    north = np.stack([xy[:, :-1], xy[:, 1:]], axis=2).reshape(-1, 2, 2)
    lines = shapely.linestrings(np.concatenate([east, north]))
    return RoadGraph.from_lines(lines[rng.random(len(lines)) >= missing], None)


def compared(side: int, sample: int | None) -> Row:
    """One city against its prediction."""
    truth, pred = lattice(side), lattice(side, shift_m=1.5, missing=0.05, seed=1)
    start = process_time()
    result = apls(truth, pred, sample=sample)
    took_s = process_time() - start
    points = len(find_control_points(truth, _SPACING_M))
    return Row(len(truth), points, sample or 0, result.score, result.error, took_s)


def baseline_s(side: int, sources: int = 20) -> float:
    """Seconds for the same by networkx, from a few searches over a city cut at control points."""
    city = lattice(side)
    cut = nx.Graph()
    for (u, v), length_m in zip(city.edges.tolist(), city.length_m.tolist(), strict=True):
        cut.add_edge(u, (u, v), weight=length_m / 2)
        cut.add_edge((u, v), v, weight=length_m / 2)
    start = process_time()
    for source in list(cut)[:sources]:
        nx.single_source_dijkstra_path_length(cut, source)
    return 4 * (process_time() - start) * len(cut) / sources


def rows(sides: list[int], sample: int, all_up_to: int) -> Iterator[Row]:
    """All ways of cities that are small enough, a sample of every other."""
    for side in sides:
        if 2 * side * (side - 1) <= all_up_to:
            yield compared(side, None)
        yield compared(side, sample)


def draw(measured: list[Row], path: str) -> None:
    """Cost against size, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for sampled, name in ((False, "all ways"), (True, "a sample")):
        some = [row for row in measured if bool(row.sampled) == sampled]
        axes.loglog([row.roads for row in some], [row.took_s for row in some], "o-", label=name)
    axes.set(xlabel="roads", ylabel="seconds of one core", title="APLS of a city")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sides", nargs="*", type=int, default=[20, 40, 71, 101])
    parser.add_argument("--sample", type=int, default=1000)
    parser.add_argument("--all-up-to", type=int, default=4000, metavar="ROADS")
    parser.add_argument("--picture", metavar="FILE")
    wanted = parser.parse_args()
    slow_s = baseline_s(wanted.sides[0])
    print(f"networkx, {wanted.sides[0]} crossings a side: {slow_s:.1f} s\n")
    print("| roads | control points | from | score | ± | CPU s | networkx / this |")
    print("|---|---|---|---|---|---|---|")
    measured: list[Row] = []
    for row in rows(wanted.sides, wanted.sample, wanted.all_up_to):
        ratio = f"{slow_s / row.took_s:.0f}" if not measured else ""
        print(
            f"| {row.roads} | {row.points} | {row.sampled or 'all'} | {row.score:.4f} "
            f"| {row.error:.4f} | {row.took_s:.2f} | {ratio} |",
            flush=True,
        )
        measured.append(row)
    if wanted.picture:
        draw(measured, wanted.picture)


if __name__ == "__main__":
    main()
