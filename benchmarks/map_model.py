"""How good the model files of buildings, land cover and fields are on what no recipe trains on.

    python benchmarks/map_model.py DATA [--buildings MODEL] [--landcover MODEL] [--fields MODEL]
                                   [--set SET]... [--count N] [--json]

DATA is the folder of the data sets, MODEL a bundled name or an .onnx file; without any, the bundled
ones are scored. The pictures are those that the recipes of the same names hold out. Each is opened
as a scene of its ground size, resampled to the pixel size of the model, predicted and traced as
users do it, and compared on its own pixels.

buildings   IoU of pixels; F1 of buildings at an IoU of 0.5, both traced from masks
landcover   the mean IoU of the classes that are there, and the accuracy of pixels
fields      IoU of pixels; F1 of the pixels of outlines within 5 px
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import road_sets
from numpy.typing import NDArray
from scipy import ndimage

from terralink import inference, metrics, vectorize
from terralink.data.chips import IGNORE, Chip
from terralink.raster import Raster, RasterWriter, SceneOptions, Stretch, open_scene
from terralink.raster.pixel_values import min_positive_value
from terralink.train import Recipe

WITHIN_PX = 5
# The validation sets of each recipe that are scored, and what scores them.
SETS = {
    "buildings": ("zanzibar", "banepa", "rio", "chips"),
    "landcover": ("dubai",),
    "fields": ("naip",),
}


@dataclass(frozen=True)
class MaskScore:
    """Pixels, and the things that are counted beside them, of some pictures; scores add."""

    name: str  # of the things
    pixels: metrics.Confusion
    things: metrics.DetectionCounts

    def __add__(self, other: "MaskScore") -> "MaskScore":
        return MaskScore(self.name, self.pixels + other.pixels, self.things + other.things)

    def figures(self) -> dict[str, float]:
        return {
            "iou": float(self.pixels.iou()[1]),
            f"{self.name} f1": self.things.f1,
            f"{self.name} precision": self.things.precision,
            f"{self.name} recall": self.things.recall,
        }


@dataclass(frozen=True)
class ClassScore:
    """Pixels of several classes; scores add."""

    pixels: metrics.Confusion

    def __add__(self, other: "ClassScore") -> "ClassScore":
        return ClassScore(self.pixels + other.pixels)

    def figures(self) -> dict[str, float]:
        iou = self.pixels.iou()
        return {"miou": float(np.nanmean(iou)), "accuracy": float(self.pixels.accuracy())}


def read_chips(kind: str, name: str, data: Path) -> Iterator[Chip]:
    """The pictures of a validation set of the bundled recipe of that name."""
    part = Recipe.from_name(kind).val[name].chips(data, None)
    for index in part.indices:
        yield part.chips[index]


def predict_chip(
    model: inference.Predictor, chip: Chip, folder: Path
) -> tuple[Raster, NDArray[np.float32]]:
    """The prediction on the pixels of the model, and its values (band, row, col) on the chip's."""
    path, grid = folder / "scene.tif", road_sets.chip_grid(chip)
    with RasterWriter(path, grid, bands=len(chip.image)) as writer:
        writer.write(0, 0, chip.image)
    options = SceneOptions(
        stretch=Stretch.none(), assumed_pixel_size_m=chip.pixel_size_m, no_data=()
    )
    with open_scene(path, options) as scene:
        prob = inference.predict(model, scene)
    path.unlink()
    bands = prob.array.reshape(-1, *prob.array.shape[-2:])
    values = [road_sets.interpolate(Raster(band, prob.grid), grid) for band in bands]
    return prob, np.stack(values)


def score_buildings(model: inference.Predictor, chip: Chip, folder: Path) -> MaskScore:
    prob, values = predict_chip(model, chip, folder)
    known, truth = chip.mask != IGNORE, chip.mask == 1
    drawn = Raster(np.where(truth, 255, 0).astype(np.uint8), road_sets.chip_grid(chip), known)
    threshold = model.metadata.threshold
    things = metrics.match_buildings(
        vectorize.trace_buildings(drawn, vectorize.BuildingOptions(threshold=0.5)),
        vectorize.trace_buildings(prob, vectorize.BuildingOptions(threshold=threshold)),
        allow_disjoint=True,
    )
    pred = values[0] >= min_positive_value(threshold)
    return MaskScore("building", metrics.Confusion.of(truth, pred, valid=known), things)


def score_fields(model: inference.Predictor, chip: Chip, folder: Path) -> MaskScore:
    _, values = predict_chip(model, chip, folder)
    known, truth = chip.mask != IGNORE, chip.mask == 1
    pred = values[0] >= min_positive_value(model.metadata.threshold)
    outlines = metrics.match_pixels(_outline(truth), _outline(pred), buffer_m=WITHIN_PX)
    return MaskScore("outline", metrics.Confusion.of(truth, pred, valid=known), outlines)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that touch what is outside of it; the image's border is no outline."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask, border_value=1))


def score_landcover(model: inference.Predictor, chip: Chip, folder: Path) -> ClassScore:
    _, values = predict_chip(model, chip, folder)
    pred, count = values.argmax(axis=0), len(model.metadata.classes)
    known = chip.mask != IGNORE
    return ClassScore(metrics.Confusion.of(chip.mask, pred, classes=count, valid=known))


SCORES: Mapping[str, Callable[[inference.Predictor, Chip, Path], Any]] = {
    "buildings": score_buildings,
    "landcover": score_landcover,
    "fields": score_fields,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    for kind in SETS:
        parser.add_argument(f"--{kind}", metavar="MODEL")
    parser.add_argument("--set", action="append", dest="sets")
    parser.add_argument("--count", type=int, help="the first pictures of a set alone")
    parser.add_argument("--json", action="store_true", dest="as_json")
    args = parser.parse_args()
    chosen = {kind: getattr(args, kind) for kind in SETS if getattr(args, kind)}
    for kind, name in (chosen or {kind: kind for kind in SETS}).items():

        def score(model: inference.Predictor, which: str, kind: str = kind) -> Any:
            with TemporaryDirectory() as folder:
                chips = islice(read_chips(kind, which, args.data), args.count)
                scores = [SCORES[kind](model, chip, Path(folder)) for chip in chips]
            return sum(scores[1:], start=scores[0])

        sets = [each for each in SETS[kind] if each in (args.sets or SETS[kind])]
        road_sets.print_rows(road_sets.score_models([name], sets, score), as_json=args.as_json)


if __name__ == "__main__":
    main()
