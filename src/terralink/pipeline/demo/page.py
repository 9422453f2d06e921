"""What the report shows of a walk: three layers over the scene, and the figures."""

import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

import terralink
from terralink import report
from terralink.graph import RoadGraph
from terralink.pipeline.demo.walk import WITHIN_M, Result
from terralink.raster import Grid, SceneOptions, Stretch, open_scene
from terralink.report import Key, Layer, Table, pictures

_PICTURE_PX = 1400
_LINE_PX = 5
# Blue, amber and magenta are told apart by every kind of eye.
_MATCHED, _MISSED, _FALSE, _FOUND = "#6b95ff", "#ffb000", "#ff3d8b", "#4de0c3"
_WITHIN = f"within {WITHIN_M:g}\u00a0m"


def page(result: Result, *, command: str) -> report.Page:
    """The report of ``result``; ``command`` is what it says it was made with."""
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


def _layers(result: Result, grid: Grid) -> list[Layer]:
    prob, _ = _overview(result.files.prob, result.town.grid)
    matched, missed, false = parted(result.town.roads, result.roads)
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
            "What the network sees: the probability of road in each pixel.",
            pictures.heat(prob[0]),
            [Key(pictures.HEAT_CSS, "0 to 100 %")],
        ),
    ]


def parted(truth: RoadGraph, pred: RoadGraph) -> tuple[NDArray[np.object_], ...]:
    """(matched, missed, false): lines of the map and of the truth, cut where they part."""
    near_truth, near_pred = (
        shapely.union_all(shapely.buffer(roads.lines, WITHIN_M)) for roads in (truth, pred)
    )
    return (
        shapely.intersection(pred.lines, near_truth),
        shapely.difference(truth.lines, near_pred),
        shapely.difference(pred.lines, near_truth),
    )


def _tables(result: Result) -> list[Table]:
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


def _provenance(result: Result, command: str) -> dict[str, str]:
    card, (height, width) = result.model.metadata, result.town.grid.shape
    return {
        "made by": f"terralink {terralink.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": command,
        "scene": f"{width} x {height} px of {result.town.grid.pixel_size_m[0]:.2g} m",
        "model": f"{card.name}, {card.pixel_size_m:g} m per pixel, threshold {card.threshold:g}",
        "on": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }
