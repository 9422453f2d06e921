"""How good a road model file is: Massachusetts val, a Dubai tile that was left out, Vegas.

    python benchmarks/road_model.py DATA [MODEL...] [--tta] [--json]

DATA is the folder of the data sets, MODEL a shipped name (default: roads) or an .onnx file. Pixels
are counted over all images of a set; centre lines match within 4 m. The road map of Vegas comes
from `extract` with its defaults. Every figure is of the whole way that a user goes: a file is
opened as a scene, tiled, predicted and blended.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from terralink import extract, geo, metrics, predict
from terralink.data.chips import IGNORE, Pairs
from terralink.data.sources import Dubai, Massachusetts
from terralink.graph import RoadGraph

DUBAI_LEFT_OUT = (2,)


def pixels(model: predict.Model, pairs: Pairs, *, tta: bool) -> metrics.Confusion:
    """Counts over all images of a set; each is worked on in its own pixels."""
    total = metrics.Confusion.zero(2)
    for index, path in enumerate(pairs.images):
        truth = pairs[index].mask
        with geo.open_scene(path, stretch=geo.Stretch.none()) as scene:
            prob = predict.scene(model, scene, tta=tta)
        pred = prob.array >= model.metadata.threshold * 255
        total += metrics.Confusion.of(truth == 1, pred, valid=truth != IGNORE)
    return total


def vegas(model: predict.Model, folder: Path, *, tta: bool) -> metrics.CentrelineMatch:
    """The extracted centre lines against SpaceNet's, within 4 m."""
    roads = extract.roads(folder / "RGB-PanSharpen_AOI_2_Vegas_img0.tif", model=model, tta=tta)
    truth = RoadGraph.from_file(folder / "AOI_2_Vegas_img0.geojson")
    return metrics.centreline_match(truth, roads, within_m=4.0)


def figures(model: predict.Model, data: Path, *, tta: bool) -> dict[str, float]:
    """All figures of one model file."""
    sets = {
        "massachusetts": Massachusetts(kind="massachusetts", part="val").read(data),
        "dubai": Dubai(kind="dubai", tiles=DUBAI_LEFT_OUT).read(data),
    }
    found: dict[str, float] = {}
    for name, pairs in sets.items():
        counted = pixels(model, pairs, tta=tta)
        found[f"{name}/iou"] = float(counted.iou()[1])
        found[f"{name}/f1"] = float(counted.f1()[1])
    lines = vegas(model, data / "spacenet-vegas", tta=tta)
    return {**found, "vegas/precision": lines.precision, "vegas/recall": lines.recall}


def table(rows: dict[str, dict[str, float]]) -> Iterable[str]:
    names = list(next(iter(rows.values())))
    yield "| model | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for model, found in rows.items():
        yield f"| {model} | " + " | ".join(f"{found[name]:.3f}" for name in names) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=["roads"])
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    wanted: Any = parser.parse_args()
    rows = {
        str(name): figures(predict.load(name), wanted.data, tta=wanted.tta)
        for name in wanted.models
    }
    print(json.dumps(rows, indent=2) if wanted.as_json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
