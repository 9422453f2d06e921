"""What seams do to a prediction: the same scene in tiles and in one tile.

    python benchmarks/seams.py [SCENE...] [--pixel-size M] [--tile PX...] [--side PX] [--model NAME]

Without scenes, two drawn towns of that side. The baseline is the network's answer to one tile that
covers all tiles, so that both see the same mirrored surroundings; every pixel of the scene counts.
The first row of a scene is the engine's own choice of tiles, the others are the sides that were
asked for, with the same margin and ramp. What is to stay below 0.02 is the 99.9th percentile. The
last column is the share of the roads' length that lies more than a pixel from those of the other
(tiles, one tile), for it is where tiles meet that a shifted grid gives other roads.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terralink import inference, metrics, synthetic, vectorize
from terralink.inference.tile_plan import TilePlan
from terralink.raster import Grid, Raster, Scene, open_scene

_LEVELS, _ASKED = 255, 0.02
_SEEDS = (0, 5)


def in_tiles(model: inference.Predictor, scene: Scene, plan: TilePlan) -> NDArray[np.uint8]:
    """Levels (row, col) of the plane of tiles."""
    found = np.zeros(plan.plane.shape, np.uint8)
    levels = model.predict_uint8(plan.to_plane(tile.array) for tile in plan.read_tiles(scene))
    for row, col, block in plan.plane.blend(levels):
        found[row : row + block.shape[1], col : col + block.shape[2]] = block[0]
    return found


def compared(model: inference.Predictor, scene: Scene, plan: TilePlan) -> str:
    """The cells that say how far tiles and one tile differ."""
    height, width = plan.plane.shape
    plane = replace(plan.plane, shape=(max(height, width),) * 2)  # the one tile is square
    side = plane.stride_px * (plane.counts[0] - 1) + plane.tile
    tiled, whole = (
        in_tiles(model, scene, replace(plan, plane=replace(plane, tile=tile)))
        for tile in (plane.tile, side)
    )
    seen = np.s_[plan.offset[0] : height, plan.offset[1] : width]
    tiled, whole = tiled[seen], whole[seen]
    apart = np.abs(tiled.astype(int) - whole) / _LEVELS
    astray = roads_astray(model, plan.grid, whole, tiled)
    plane = plan.plane
    cells: list[Any] = [
        f"{plane.counts[0]} x {plane.counts[1]} of {plane.tile} px",
        f"{plane.border_px}, {plane.ramp_px}",
        f"{len(plane) * plane.tile**2 / apart.size:.2f}",
        f"{np.percentile(apart, 99.9):.4f}",
        f"{100 * (apart >= _ASKED).mean():.3f}%",
        f"{apart.max():.2f}",
        f"{100 * astray[0]:.2f}%, {100 * astray[1]:.2f}%",
    ]
    return " | ".join(cells)


def roads_astray(
    model: inference.Predictor, grid: Grid, *answers: NDArray[np.uint8]
) -> tuple[float, float]:
    """The shares of the roads' length farther than a pixel from those of the other answer."""
    threshold = model.metadata.threshold
    one, other = (
        vectorize.trace_roads(Raster(levels, grid), vectorize.RoadOptions(threshold=threshold))
        for levels in answers
    )
    match = metrics.match_centrelines(one, other, within_m=max(grid.pixel_size_m))
    return 1 - match.precision, 1 - match.recall


def towns(folder: Path, side_px: int) -> Iterator[Path]:
    """Drawn towns at 1 m per pixel."""
    for seed in _SEEDS:
        path = folder / f"town {seed}.tif"
        synthetic.draw((side_px, side_px), seed=seed, pixel_size_m=1.0).write(path)
        yield path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("scenes", nargs="*", type=Path)
    parser.add_argument("--pixel-size", type=float)
    parser.add_argument("--tile", type=int, nargs="*", default=[], dest="sides")
    parser.add_argument("--side", type=int, default=3000)
    parser.add_argument("--model", default="roads")
    wanted = parser.parse_args()
    model = inference.load_model(wanted.model)
    print(
        "| scene | tiles | margin, ramp | pixels seen | 99.9th percentile | 0.02 or more | most "
        "| roads astray |\n|---|---|---|---|---|---|---|---|"
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for path in wanted.scenes or towns(folder, wanted.side):
            with open_scene(path, pixel_size_m=wanted.pixel_size) as opened:
                scene = inference.conform_scene(model, opened)
                own = TilePlan.create(scene.grid, model.metadata)
                for side in [own.plane.tile, *wanted.sides]:
                    plan = replace(own, plane=replace(own.plane, tile=side))
                    print(f"| {path.stem} | {compared(model, scene, plan)} |", flush=True)


if __name__ == "__main__":
    main()
