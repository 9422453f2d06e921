"""What lies on one grid is scored, whatever says so; all else is refused. Masked is not counted."""

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.errors import NotGeoreferencedWarning
from shapely import LineString, box

from terralink import evaluate
from terralink.errors import InputError
from terralink.evaluate import Rules, find_pairs, format_figure
from terralink.evaluate.tasks import TASKS, Result
from terralink.graph import RoadGraph

UTM = CRS.from_epsg(32611)
HALF = Affine(0.5, 0, 600000, 0, -0.5, 4000000)
TRACED = ("roads", "topo", "buildings")
PIXELS = ("pixels", "patches")


def street(side: int = 200, *, shift: int = 0) -> NDArray[np.uint8]:
    mask = np.zeros((side, side), np.uint8)
    mask[90 + shift : 110 + shift] = 255
    mask[:, 40:60] = 255
    return mask


def write(
    path: Path,
    mask: NDArray[Any],
    transform: Affine | None = None,
    crs: CRS | None = None,
    *,
    valid: NDArray[np.bool_] | bool = True,
) -> Path:
    path.parent.mkdir(exist_ok=True)
    shape = {"height": mask.shape[0], "width": mask.shape[1], "count": 1, "dtype": mask.dtype}
    place = {} if transform is None else {"transform": transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="GTiff", crs=crs, **shape, **place) as out:
            out.write(mask, 1)
            if valid is not True:
                out.write_mask(np.broadcast_to(valid, mask.shape))
    return path


def judge(kind: str, truth: Path, pred: Path, **rules: float) -> Result:
    return evaluate.evaluate_pairs(kind, find_pairs(truth, pred), Rules(**rules))  # type: ignore[arg-type]


def score(kind: str, truth: Path, pred: Path, **rules: float) -> float:
    """The main figure, to nine digits: sums of lengths are rounded."""
    result = judge(kind, truth, pred, **rules)
    return round(result.figures[TASKS[kind].key_figure], 9)


@pytest.mark.parametrize("kind", TASKS)
def test_half_a_metre_against_pixels_is_refused_until_the_size_of_a_pixel_is_given(
    kind: str, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street(), Affine.scale(0.5, -0.5))
    pred = write(tmp_path / "p.tif", street())
    for sides in ((truth, pred), (pred, truth)):
        with pytest.raises(InputError, match="--pixel-size"):
            judge(kind, *sides)
        assert score(kind, *sides, pixel_size_m=0.5) == 1
        with pytest.raises(InputError, match=r"--pixel-size says 1 m, but .* 0\.5 x 0\.5 m"):
            judge(kind, *sides, pixel_size_m=1)


@pytest.mark.parametrize("kind", TASKS)
def test_a_raster_that_is_nowhere_lies_on_the_grid_of_the_other_when_its_pixels_fit(
    kind: str, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    pred = write(tmp_path / "p.tif", street())
    with pytest.raises(InputError, match="--pixel-size"):
        judge(kind, truth, pred)
    assert score(kind, truth, pred, pixel_size_m=0.5) == 1


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("pixel_size_m", [None, 0.5])
def test_two_rasters_that_are_nowhere_are_of_one_place(
    kind: str, pixel_size_m: float | None, tmp_path: Path
) -> None:
    truth, pred = (write(tmp_path / name, street()) for name in ("t.tif", "p.tif"))
    result = judge(kind, truth, pred, **({} if pixel_size_m is None else {"pixel_size_m": 0.5}))
    assert result.figures[TASKS[kind].key_figure] == 1
    assert bool(result.without_scale) == (pixel_size_m is None and kind in TRACED)
    if kind == "roads":
        side_m = 200 if pixel_size_m is None else 100
        assert result.figures["truth_m"] == pytest.approx(2 * side_m, abs=2)


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("other", [Affine.scale(0.3, -0.3), Affine(0.5, 0, 50, 0, -0.5, 0)])
def test_two_transforms_without_a_crs_say_one_place(
    kind: str, other: Affine, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street(), Affine.scale(0.5, -0.5))
    pred = write(tmp_path / "p.tif", street(), other)
    with pytest.raises(InputError, match=r"one grid|pixel by pixel"):
        judge(kind, truth, pred)


@pytest.mark.parametrize("kind", TASKS)
def test_a_crs_that_was_lost_on_one_side_is_that_of_the_other_on_one_grid(
    kind: str, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    assert score(kind, truth, write(tmp_path / "p.tif", street(), HALF)) == 1
    moved = write(tmp_path / "q.tif", street(), HALF @ Affine.translation(20, 0))
    with pytest.raises(InputError, match="no CRS"):
        judge(kind, truth, moved)


@pytest.mark.parametrize("kind", TASKS)
def test_sizes_that_differ_by_a_pixel_are_refused_where_nothing_says_where_they_are(
    kind: str, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street())
    pred = write(tmp_path / "p.tif", street()[1:])
    with pytest.raises(InputError, match="200 x 200 pixels and prediction 200 x 199"):
        judge(kind, truth, pred)


def test_sizes_that_differ_by_a_pixel_are_no_matter_where_both_say_where_they_are(
    tmp_path: Path,
) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    pred = write(tmp_path / "p.tif", street()[1:], HALF @ Affine.translation(0, 1), UTM)
    assert judge("roads", truth, pred).figures["f1"] == 1
    with pytest.raises(InputError, match="pixel by pixel"):
        judge("pixels", truth, pred)


def test_rasters_of_two_crs_are_brought_together_as_lines_and_refused_as_pixels(
    tmp_path: Path,
) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    metres = RoadGraph.from_lines([LineString([(6e5, 3999950), (600100, 3999950)])], UTM)
    east, north = metres.to_crs(CRS.from_epsg(32612)).junctions[0]
    place = Affine(0.5, 0, east, 0, -0.5, north + 50)
    pred = write(tmp_path / "p.tif", street(), place, CRS.from_epsg(32612))
    assert judge("roads", truth, pred, within_m=8).figures["recall"] > 0.9
    with pytest.raises(InputError, match="EPSG:32612"):
        judge("pixels", truth, pred)


def roads(path: Path, scale: float, crs: CRS | None = None, east: float = 0) -> Path:
    lines = [[(0, 100), (200, 100)], [(50, 0), (50, 100)], [(50, 100), (50, 200)]]
    placed = [LineString(np.array(line) * scale + (east, 0)) for line in lines]
    RoadGraph.from_lines(placed, crs, noding="crossings").to_file(path)
    return path


def houses(path: Path, scale: float, crs: CRS | None = None, east: float = 0) -> Path:
    side = 90 * scale
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        gpd.GeoSeries([box(east, 0, east + side, side)], crs=crs).to_file(path, layer="buildings")
    return path


Vectors = Callable[..., Path]


@pytest.mark.parametrize(("kind", "vectors"), [("roads", roads), ("buildings", houses)])
def test_a_mask_that_is_nowhere_has_no_shapes_beside_it_that_are_somewhere(
    kind: str, vectors: Vectors, tmp_path: Path
) -> None:
    raster = write(tmp_path / "p.tif", street())
    vector = vectors(tmp_path / "t.gpkg", 1, UTM, 600000)
    for sides in ((vector, raster), (raster, vector)):
        with pytest.raises(InputError, match="has no CRS"):
            judge(kind, *sides)
        with pytest.raises(InputError, match="has no CRS"):
            judge(kind, *sides, pixel_size_m=0.5)


@pytest.mark.parametrize(("kind", "vectors"), [("roads", roads), ("buildings", houses)])
def test_shapes_that_reach_out_of_a_mask_that_is_nowhere_are_refused(
    kind: str, vectors: Vectors, tmp_path: Path
) -> None:
    raster, vector = write(tmp_path / "p.tif", street()), vectors(tmp_path / "t.gpkg", 3)
    with pytest.raises(InputError, match="--pixel-size"):
        judge(kind, vector, raster)


def test_lines_in_metres_fit_a_mask_by_the_size_of_its_pixels(tmp_path: Path) -> None:
    raster, vector = write(tmp_path / "p.tif", street()), roads(tmp_path / "t.gpkg", 0.5)
    assert score("roads", vector, raster, pixel_size_m=0.5) == pytest.approx(1, abs=0.01)
    assert judge("roads", vector, raster).without_scale


def test_folders_are_checked_pair_by_pair(tmp_path: Path) -> None:
    for name, transform in (("a", None), ("b", Affine.scale(0.5))):
        write(tmp_path / "t" / f"{name}.tif", street())
        write(tmp_path / "p" / f"{name}.tif", street(), transform)
    with pytest.raises(InputError, match=r"^b: .*--pixel-size"):
        judge("roads", tmp_path / "t", tmp_path / "p")
    assert score("roads", tmp_path / "t", tmp_path / "p", pixel_size_m=0.5) == 1


def test_the_command_line_takes_the_size_of_a_pixel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from terralink.cli import main

    truth = write(tmp_path / "t.tif", street(), Affine.scale(0.5))
    pred = write(tmp_path / "p.tif", street())
    assert main(["evaluate", "roads", str(truth), str(pred)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "--pixel-size" in told
    assert main(["evaluate", "roads", str(truth), str(pred), "--pixel-size", "0.5", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["figures"]["apls"] == 1
    assert record["rules"]["pixel_size_m"] == 0.5


@pytest.mark.parametrize("kind", TASKS)
def test_an_image_that_is_all_masked_does_not_count(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "t" / "a.tif", street(), HALF, UTM)
    write(tmp_path / "p" / "a.tif", street(shift=30), HALF, UTM)
    alone = judge(kind, tmp_path / "t", tmp_path / "p")
    for name, (in_truth, in_pred) in {"b": (False, True), "c": (True, False)}.items():
        write(tmp_path / "t" / f"{name}.tif", street(), HALF, UTM, valid=in_truth)
        write(tmp_path / "p" / f"{name}.tif", street(), HALF, UTM, valid=in_pred)
    result = judge(kind, tmp_path / "t", tmp_path / "p")
    assert result.masked == ("b", "c")
    left_out = {"images_left_out": 2} if "images_left_out" in result.figures else {}
    assert result.figures == pytest.approx({**alone.figures, **left_out})
    for case in result.cases[1:]:
        assert all(math.isnan(value) for value in case.figures.values() if type(value) is float
                   and value != 0)  # fmt: skip


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_masked_on_one_side_is_counted_on_neither(kind: str, tmp_path: Path) -> None:
    upper = np.zeros((200, 200), bool)
    upper[:80] = True
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    pred = write(tmp_path / "p.tif", street(shift=40), HALF, UTM, valid=upper)
    result = judge(kind, truth, pred)
    assert result.figures[TASKS[kind].key_figure] == pytest.approx(1)
    assert not result.masked


def test_all_images_masked_have_no_score(tmp_path: Path) -> None:
    truth, pred = (
        write(tmp_path / name, street(), HALF, UTM, valid=False) for name in ("t.tif", "p.tif")
    )
    for kind in TASKS:
        assert math.isnan(score(kind, truth, pred))


def test_counts_are_whole_and_ratios_have_three_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from terralink.cli import main

    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    counts = {"truth", "found", "pred", "right", "truth_pieces", "pred_pieces", "images_left_out"}
    for kind in TASKS:
        page = tmp_path / f"{kind}.html"
        assert main(["evaluate", kind, str(truth), str(truth), "--report", str(page)]) == 0
        rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert rows[TASKS[kind].key_figure] == "1.000"
        for name in counts & rows.keys():
            assert rows[name].replace(",", "").isdecimal()
            assert (
                f"<th scope=row>{name.replace('_', ' ')}<small></small></th><td>{rows[name]}<"
                in (page.read_text())
            )
        assert main(["evaluate", kind, str(truth), str(truth), "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)["figures"]
        assert all(isinstance(figures[name], int) for name in counts & figures.keys())


def test_a_length_of_a_metre_is_no_ratio() -> None:
    assert format_figure("truth_m", 1.0) == "1"
    assert format_figure("pred_pieces", 1) == "1"
    assert format_figure("f1", 1.0) == "1.000"


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("threshold", [None, 0.3, 0.5, 0.99, 1, 2, 128, 255])
@pytest.mark.parametrize("marks", [(1, 255), (255, 1), (1, 1)])
def test_a_mask_of_ones_is_one_of_255_at_any_threshold(
    kind: str, threshold: float | None, marks: tuple[int, int], tmp_path: Path
) -> None:
    truth, pred = (
        write(tmp_path / name, np.where(street(), mark, 0).astype(np.uint8), HALF, UTM)
        for name, mark in zip(("t.tif", "p.tif"), marks, strict=True)
    )
    rules = {} if threshold is None else {"threshold": threshold}
    assert score(kind, truth, pred, **rules) == 1


@pytest.mark.parametrize("kind", PIXELS)
def test_a_threshold_below_1_is_a_probability_of_bytes_and_floats(
    kind: str, tmp_path: Path
) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    noise = np.random.default_rng(0).integers(0, 60, (200, 200))
    levels = np.where(street(), 255 - noise, noise).astype(np.uint8)
    pred = write(tmp_path / "p.tif", levels, HALF, UTM)
    assert score(kind, truth, pred, threshold=0.5) == 1
    assert score(kind, truth, pred, threshold=128) == 1
    assert score(kind, truth, pred) < 0.5
    with rasterio.open(pred, "r+") as file:
        file.scales = (1 / 255,)
    assert score(kind, truth, pred, threshold=0.5) == 1
    floats = write(tmp_path / "f.tif", (levels / 255).astype(np.float32), HALF, UTM)
    assert score(kind, truth, floats, threshold=0.5) == 1


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_not_a_number_is_not_counted(kind: str, tmp_path: Path) -> None:
    truth = write(tmp_path / "t.tif", street(), HALF, UTM)
    prob = (street(shift=40) / np.float32(255)).astype(np.float32)
    prob[80:] = np.nan
    pred = write(tmp_path / "p.tif", prob, HALF, UTM)
    assert score(kind, truth, pred, threshold=0.5) == 1
    prob[:] = np.nan
    assert judge(kind, truth, write(tmp_path / "n.tif", prob, HALF, UTM)).masked == ("t",)
