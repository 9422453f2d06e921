"""A demonstration: draw a town, extract its roads, score them against the truth, show a report.

    town ── scene.tif ── extract ── scene.gpkg, scene.prob.tif ──┐
      └──── truth.gpkg ──────────────────────────────────────────┴── scores ── report.html

Everything streams, and the pictures are small, so a town may have any size.
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

import terralink
from terralink import inference, metrics, report, synthetic
from terralink.graph import RoadGraph
from terralink.pipeline import extract
from terralink.raster import Grid, SceneOptions, Stretch, open_scene
from terralink.raster.pixel_values import min_positive_value
from terralink.report import Key, Layer, Table, pictures

WITHIN_M = 4.0
_ROWS = 1024  # scored at a time


@dataclass(frozen=True)
class DemoFiles:
    """The files of a demonstration."""

    scene: Path
    truth: Path
    roads: Path
    prob: Path
    report: Path
    picture: Path

    @classmethod
    def of(cls, folder: Path) -> "DemoFiles":
        return cls(
            scene=folder / "scene.tif",
            truth=folder / "truth.gpkg",
            roads=folder / "scene.gpkg",
            prob=folder / "scene.prob.tif",
            report=folder / "report.html",
            picture=folder / "report.jpg",
        )


@dataclass(frozen=True, eq=False)
class DemoResult:
    """The files of a demonstration and its scores; ``seconds`` by stage."""

    files: DemoFiles
    town: synthetic.Town
    model: inference.Predictor
    roads: RoadGraph
    lines: metrics.CentrelineMatch
    pixels: metrics.Confusion
    seconds: Mapping[str, float]


def run_demo(
    folder: Path,
    *,
    size_px: int = 2048,
    seed: int = 7,
    model: str | inference.Predictor = "roads",
    progress: Callable[[float], None] = lambda _part: None,
) -> DemoResult:
    """Draw a town of ``size_px`` squared into ``folder``, extract its roads, and score them.

    ``model`` is a bundled name, a file, or a loaded model; ``progress`` is called with the part
    that is done, 0 to 1.
    """
    files, clock = DemoFiles.of(folder), Clock()
    loaded = inference.load_model(model) if isinstance(model, str) else model
    with clock.stage("draw the town"):
        drawn = synthetic.draw((size_px, size_px), seed=seed)
        drawn.write(files.scene, lambda done, total: progress(0.7 * done / total))
        drawn.roads.to_file(files.truth)
    with clock.stage("extract its roads"):
        roads = extract.extract_roads(
            files.scene,
            loaded,
            out=files.roads,
            progress=lambda part: progress(0.7 + 0.2 * part),
        )
    with clock.stage("score them"):
        lines = metrics.match_centrelines(drawn.roads, roads, within_m=WITHIN_M)
        pixels = _score_pixels(drawn, files.prob, loaded.metadata.threshold)
    progress(1.0)
    return DemoResult(files, drawn, loaded, roads, lines, pixels, clock.seconds)


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] = perf_counter() - start


def _score_pixels(drawn: synthetic.Town, prob: Path, threshold: float) -> metrics.Confusion:
    """Count road pixels of the truth and of the map, on the grid of the scene, in row bands."""
    height, width = drawn.grid.shape
    total = metrics.Confusion.zero()
    size_m = drawn.grid.pixel_size_m[0]
    with open_scene(
        prob, SceneOptions(stretch=Stretch.none(), no_data=()), pixel_size_m=size_m
    ) as scene:
        for row in range(0, height, _ROWS):
            shape = (min(_ROWS, height - row), width)
            pred = scene.read(row, 0, shape)
            truth = drawn.road_mask(row, 0, shape)
            road = pred.array[0] >= min_positive_value(threshold)
            total += metrics.Confusion.of(truth, road, valid=pred.valid)
    return total


_PICTURE_PX = 1400
_LINE_PX = 5
# Blue, amber and magenta: also people with colour blindness can distinguish them.
_MATCHED, _MISSED, _FALSE, _FOUND = "#6b95ff", "#ffb000", "#ff3d8b", "#4de0c3"
_WITHIN = f"within {WITHIN_M:g}\u00a0m"


def draw_page(result: DemoResult, *, command: str) -> report.Page:
    """The report of ``result``; ``command`` is the command line that it shows."""
    found, truth_m = result.lines, result.town.roads.length_m.sum()
    scene, grid = _overview(result.files.scene, result.town.grid)
    return report.Page(
        title="A drawn town, and the map of its roads",
        lead=(
            f"{truth_m / 1000:.1f} km of roads were drawn. {found.recall:.0%} of them were found, "
            f"and {found.precision:.0%} of what was found is road, {_WITHIN}. "
            "Drag the curtain to compare the scene with a layer."
        ),
        scene=Image.fromarray(np.moveaxis(scene, 0, -1)),
        layers=_layers(result, grid),
        tables=_tables(result),
        provenance=_provenance(result, command),
    )


def _overview(path: Path, ground: Grid) -> tuple[NDArray[np.uint8], Grid]:
    """A raster (band, row, col) of all of ``ground``, reduced for a picture, and its grid."""
    reduced = max(1.0, max(ground.shape) / _PICTURE_PX)
    size_m = reduced * ground.pixel_size_m[0]
    with open_scene(
        path, SceneOptions(stretch=Stretch.none(), no_data=()), pixel_size_m=size_m
    ) as raster:
        grid = ground.with_pixel_size(size_m)
        return raster.read(0, 0, grid.shape).array, grid


def _layers(result: DemoResult, grid: Grid) -> list[Layer]:
    prob, _ = _overview(result.files.prob, result.town.grid)
    matched, missed, false = split_by_match(result.town.roads, result.roads)
    return [
        Layer(
            "Truth against map",
            f"The map's centre lines against those that were drawn, {_WITHIN}.",
            pictures.lines(
                grid, [(matched, _MATCHED), (missed, _MISSED), (false, _FALSE)], width_px=_LINE_PX
            ),
            [
                Key(_MATCHED, "road, and found"),
                Key(_MISSED, "road, but missed"),
                Key(_FALSE, "found, but no road"),
            ],
        ),
        Layer(
            "Extracted roads",
            "The centre lines of the map, as the GeoPackage has them.",
            pictures.lines(grid, [(result.roads.lines, _FOUND)], width_px=_LINE_PX),
            [Key(_FOUND, "a road of the map")],
        ),
        Layer(
            "Probability",
            "The output of the network: the probability of road in each pixel.",
            pictures.heat(prob[0]),
            [Key(pictures.HEAT_CSS, "0 to 100 %")],
        ),
    ]


def split_by_match(truth: RoadGraph, pred: RoadGraph) -> tuple[NDArray[np.object_], ...]:
    """(matched, missed, false) lines: the map and the truth, cut where they start to differ."""
    near_truth, near_pred = (
        shapely.union_all(shapely.buffer(roads.lines, WITHIN_M)) for roads in (truth, pred)
    )
    return (
        shapely.intersection(pred.lines, near_truth),
        shapely.difference(truth.lines, near_pred),
        shapely.difference(pred.lines, near_truth),
    )


def _tables(result: DemoResult) -> list[Table]:
    lines, pixels, roads = result.lines, result.pixels, result.roads
    return [
        Table(
            "Centre lines",
            [
                ("Precision", f"{lines.precision:.3f}", f"of the map's length is road, {_WITHIN}"),
                ("Recall", f"{lines.recall:.3f}", f"of the roads' length was found, {_WITHIN}"),
                ("F1", f"{lines.f1:.3f}", "the harmonic mean of the two"),
            ],
        ),
        Table(
            "Pixels",
            [("Road IoU", f"{pixels.iou()[1]:.3f}", "road in both, of road in either")],
        ),
        Table(
            "The map",
            [
                ("Roads", f"{len(roads):,}", "from junction to junction"),
                ("Junctions", f"{len(roads.junctions):,}", "dead ends too"),
                ("Length", f"{roads.length_m.sum() / 1000:.2f} km", ""),
            ],
        ),
        Table("Time", [(name, f"{spent:.1f} s", "") for name, spent in result.seconds.items()]),
    ]


def _provenance(result: DemoResult, command: str) -> dict[str, str]:
    metadata, (height, width) = result.model.metadata, result.town.grid.shape
    return {
        "made by": f"terralink {terralink.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": command,
        "scene": f"{width} x {height} px of {result.town.grid.pixel_size_m[0]:.2g} m",
        "model": f"{metadata.name}, {metadata.pixel_size_m:g} m per pixel, "
        f"threshold {metadata.threshold:g}",
        "on": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
