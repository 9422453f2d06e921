"""From an empty folder to scores: draw, extract, compare."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from terralink import inference, metrics, synthetic
from terralink.graph import RoadGraph
from terralink.pipeline import extract
from terralink.raster import SceneOptions, Stretch, open_scene
from terralink.raster.pixel_values import min_positive_value

WITHIN_M = 4.0
_ROWS = 1024  # are scored at once


@dataclass(frozen=True)
class Files:
    """The files of a demo."""

    scene: Path
    truth: Path
    roads: Path
    prob: Path
    report: Path
    picture: Path

    @classmethod
    def of(cls, folder: Path) -> "Files":
        return cls(
            scene=folder / "scene.tif",
            truth=folder / "truth.gpkg",
            roads=folder / "scene.gpkg",
            prob=folder / "scene.prob.tif",
            report=folder / "report.html",
            picture=folder / "report.jpg",
        )


@dataclass(frozen=True, eq=False)
class Result:
    """What a walk made and how good it is; ``seconds`` by stage."""

    files: Files
    town: synthetic.Town
    model: inference.Predictor
    roads: RoadGraph
    lines: metrics.CentrelineMatch
    pixels: metrics.Confusion
    seconds: Mapping[str, float]


def walk(
    folder: Path,
    *,
    size_px: int = 2048,
    seed: int = 7,
    model: str | inference.Predictor = "roads",
    progress: Callable[[float], None] = lambda _part: None,
) -> Result:
    """Draw a town of ``size_px`` squared into ``folder``, extract its roads, and score them.

    ``model`` is a shipped name, a file, or one that is loaded; ``progress`` is told the part done,
    0 to 1.
    """
    files, clock = Files.of(folder), Clock()
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
    return Result(files, drawn, loaded, roads, lines, pixels, clock.seconds)


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
