"""How good road model files are: pixels and centre lines of six sets, and one whole scene.

    python benchmarks/road_model.py DATA [MODEL...] [--set SET]... [--threshold P] [--tta] [--json]

DATA is the folder of the data sets, MODEL a bundled name (default: roads) or an .onnx file. The
sets, and the pictures of them that are scored, are those of road_sets.py. Pixels are compared on
the picture's own grid and counted over all pictures; centre lines, traced from the truth's mask and
from the probability, match within 4 m. ``vegas scene`` is `extract` with its defaults against
SpaceNet's own lines.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import road_sets

from terralink import inference, metrics, vectorize
from terralink.data.chips import IGNORE, Chip
from terralink.graph import RoadGraph
from terralink.pipeline import extract
from terralink.raster import Raster
from terralink.raster.pixel_values import min_positive_value

WITHIN_M = 4.0
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


def score_picture(
    model: inference.Predictor, threshold: float, tta: bool, picture: Path, chip: Chip
) -> Score:
    """The prediction of one picture against its mask."""
    prob, values = road_sets.predict_picture(model, picture, chip, tta=tta)
    known = chip.mask != IGNORE
    truth = np.where(chip.mask == 1, 255, 0).astype(np.uint8)
    lines = metrics.match_centrelines(
        vectorize.trace_roads(Raster(truth, road_sets.chip_grid(chip), known)),
        vectorize.trace_roads(prob, vectorize.RoadOptions(threshold=threshold)),
        within_m=WITHIN_M,
        allow_disjoint=True,
    )
    pred = values >= min_positive_value(threshold)
    return Score(metrics.Confusion.of(truth > 0, pred, valid=known), lines)


def score_scene(model: inference.Predictor, data: Path, threshold: float, tta: bool) -> Score:
    """The extracted centre lines of the Vegas scene against SpaceNet's."""
    folder = data / "spacenet-vegas"
    scene = folder / "RGB-PanSharpen_AOI_2_Vegas_img0.tif"
    roads = extract.extract_roads(
        scene, model, options=vectorize.RoadOptions(threshold=threshold), tta=tta
    )
    truth = RoadGraph.from_file(folder / "AOI_2_Vegas_img0.geojson")
    lines = metrics.match_centrelines(truth, roads, within_m=WITHIN_M)
    return Score(metrics.Confusion.zero(2), lines)


def main() -> None:
    parser = road_sets.parser(__doc__ or "", [*road_sets.SETS, SCENE])
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--tta", action="store_true")
    args = parser.parse_args()

    def score(model: inference.Predictor, name: str) -> Score:
        threshold = model.metadata.threshold if args.threshold is None else args.threshold
        if name == SCENE:
            return score_scene(model, args.data, threshold, args.tta)
        return road_sets.score_set(
            name, args.data, partial(score_picture, model, threshold, args.tta)
        )

    rows = road_sets.score_models(args.models, args.sets or [*road_sets.SETS, SCENE], score)
    road_sets.print_rows(rows, as_json=args.as_json)


if __name__ == "__main__":
    main()
