"""How good road model files are: pixels and centre lines of six sets, and one whole scene.

    python benchmarks/road_model.py DATA [MODEL...] [--set SET]... [--threshold P] [--tta] [--json]

DATA is the folder of the data sets, MODEL a shipped name (default: roads) or an .onnx file. Of each
set only what no recipe of roads trains on is scored: its own validation part, or what the recipes
hold out. A picture is opened as a scene of the set's ground size, brought to the model's, predicted
in tiles and blended, as users do it. Pixels are compared on the picture's own grid and counted over
all pictures; centre lines, traced from the truth's mask and from the probability, match within 4 m.
``vegas scene`` is `extract` with its defaults against SpaceNet's own lines.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from terralink import inference, metrics, vectorize
from terralink.data.chips import IGNORE, Chip, Pairs
from terralink.data.sources import Dubai, Massachusetts, PairFolders, Source, Split
from terralink.graph import RoadGraph
from terralink.pipeline import extract
from terralink.raster import Grid, Raster, SceneOptions, Stretch, open_scene
from terralink.raster.pixel_values import min_positive_value

WITHIN_M = 4.0


def _pairs(folder: str, pixel_size_m: float, held_out: int, **more: Any) -> PairFolders:
    return PairFolders(
        kind="pairs",
        folder=folder,
        values={0: 0, 255: 1},
        pixel_size_m=pixel_size_m,
        take="held_out",
        split=Split(held_out=held_out),
        **more,
    )


SETS: Mapping[str, Source] = {
    "massachusetts": Massachusetts(kind="massachusetts", part="val"),
    "more": _pairs("massachusetts-more", 1.0, 10, group_by=r"^[0-9]+_[0-9]+"),
    "dubai": Dubai(kind="dubai", tiles=(2,)),
    "gsi": _pairs("gsi-roads", 0.2, 6),
    "shanghai": _pairs("spacenet-shanghai", 0.76, 6, no_data=0),
    "vegas": _pairs("spacenet-vegas-chips", 0.76, 6),
}
SCENE = "vegas scene"


@dataclass(frozen=True)
class Score:
    """Pixels and centre lines of some pictures; scores add."""

    pixels: metrics.Confusion
    lines: metrics.CentrelineMatch

    def __add__(self, other: "Score") -> "Score":
        return Score(self.pixels + other.pixels, self.lines + other.lines)

    def figures(self) -> dict[str, float]:
        return {
            "iou": float(self.pixels.iou()[1]),
            "line f1": self.lines.f1,
            "line precision": self.lines.precision,
            "line recall": self.lines.recall,
        }


def held_out(source: Source, data: Path) -> Iterator[tuple[Path, Chip]]:
    """The pictures of a set that are scored, with their truth."""
    part = source.chips(data, None)
    assert isinstance(part.chips, Pairs)
    for index in part.indices:
        yield part.chips.images[index], part.chips[index]


def probability(
    model: inference.Predictor, picture: Path, pixel_size_m: float | None, *, tta: bool
) -> Raster:
    """On the model's pixels, or on the picture's own where their size is not known."""
    with open_scene(
        picture, SceneOptions(stretch=Stretch.none(), assumed_pixel_size_m=pixel_size_m, no_data=())
    ) as scene:
        return inference.scene(model, scene, tta=tta)


def on_grid(prob: Raster, grid: Grid) -> NDArray[np.float32]:
    """Levels (row, col) at the pixels of another grid of the same ground, interpolated."""
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    at_col, at_row = prob.grid.colrow(*grid.xy(cols, rows))
    levels = prob.array.astype(np.float32)
    return np.asarray(
        ndimage.map_coordinates(levels, [at_row - 0.5, at_col - 0.5], order=1, mode="nearest")
    )


def score(
    model: inference.Predictor, picture: Path, chip: Chip, *, threshold: float, tta: bool
) -> Score:
    prob = probability(model, picture, chip.pixel_size_m, tta=tta)
    known = chip.mask != IGNORE
    grid = native_grid(chip)
    pred = on_grid(prob, grid) >= min_positive_value(threshold)
    truth = np.where(chip.mask == 1, 255, 0).astype(np.uint8)
    lines = metrics.match_centrelines(
        vectorize.trace_roads(Raster(truth, grid, known)),
        vectorize.trace_roads(prob, vectorize.RoadOptions(threshold=threshold)),
        within_m=WITHIN_M,
        allow_disjoint=True,
    )
    return Score(metrics.Confusion.of(truth > 0, pred, valid=known), lines)


def native_grid(chip: Chip) -> Grid:
    """The picture's pixels as ``open_scene`` has them: in metres, or in pixels."""
    return Grid(chip.mask.shape, Affine.scale(chip.pixel_size_m or 1.0))


def vegas_scene(model: inference.Predictor, data: Path, *, threshold: float, tta: bool) -> Score:
    """The extracted centre lines against SpaceNet's."""
    folder = data / "spacenet-vegas"
    scene = folder / "RGB-PanSharpen_AOI_2_Vegas_img0.tif"
    roads = extract.extract_roads(
        scene, model, options=vectorize.RoadOptions(threshold=threshold), tta=tta
    )
    truth = RoadGraph.from_file(folder / "AOI_2_Vegas_img0.geojson")
    lines = metrics.match_centrelines(truth, roads, within_m=WITHIN_M)
    return Score(metrics.Confusion.zero(2), lines)


def scores(
    model: inference.Predictor,
    data: Path,
    names: Iterable[str],
    *,
    threshold: float | None = None,
    tta: bool = False,
) -> dict[str, Score]:
    """The score of each of the named sets; the threshold is the model's unless it is given."""
    at = model.metadata.threshold if threshold is None else threshold
    found = {}
    for name in names:
        if name == SCENE:
            found[name] = vegas_scene(model, data, threshold=at, tta=tta)
            continue
        pictures = held_out(SETS[name], data)
        each = [score(model, path, chip, threshold=at, tta=tta) for path, chip in pictures]
        found[name] = sum(each[1:], start=each[0])
    return found


def table(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterable[str]:
    yield "| model | set | iou | line f1 | line precision | line recall |"
    yield "|---|---|---|---|---|---|"
    for model, sets in rows.items():
        for name, figures in sets.items():
            told = " | ".join(f"{value:.3f}" for value in figures.values())
            yield f"| {model} | {name} | {told} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=["roads"])
    parser.add_argument("--set", action="append", choices=[*SETS, SCENE], dest="sets")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    wanted: Any = parser.parse_args()
    names = wanted.sets or [*SETS, SCENE]
    more = {"threshold": wanted.threshold, "tta": wanted.tta}
    rows = {
        str(model): {
            name: each.figures()
            for name, each in scores(inference.load(model), wanted.data, names, **more).items()
        }
        for model in wanted.models
    }
    print(json.dumps(rows, indent=2) if wanted.as_json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
