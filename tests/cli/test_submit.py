"""From the challenge's images to its table, back to masks, and to a score."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Run = Callable[..., Any]


def streets(side_px: int, at_px: int) -> NDArray[np.uint8]:
    """A picture (row, col, 3), green, with a grey street 40 px wide from top to bottom."""
    image = np.full((side_px, side_px, 3), (90, 250, 80), np.uint8)
    image[:, at_px : at_px + 40] = 128
    return image


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """The challenge's layout: test_set_images/test_1/test_1.png, and 12."""
    for number, at_px in ((1, 96), (12, 400)):
        folder = tmp_path / "test_set_images" / f"test_{number}"
        folder.mkdir(parents=True)
        Image.fromarray(streets(608, at_px)).save(folder / f"test_{number}.png")
    return tmp_path / "test_set_images"


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """The masks of ``images``, by their numbers."""
    folder = tmp_path / "truth"
    folder.mkdir()
    for number, at_px in ((1, 96), (12, 400)):
        road = (streets(608, at_px)[:, :, 0] == 128).astype(np.uint8) * 255
        Image.fromarray(road).save(folder / f"satImage_{number:03d}.png")
    return folder


@pytest.mark.parametrize("strategy", ["corners", "whole"])
def test_images_become_a_table_that_scores_one_against_their_streets(
    terralink: Run, grey: Path, images: Path, truth: Path, tmp_path: Path, strategy: str
) -> None:
    out = tmp_path / "submission.csv"
    ended = terralink("submit", images, "--model", grey, "--out", out, "--strategy", strategy)
    assert ended.code == 0, ended.err
    assert "images    2" in ended.out
    rows = out.read_text().splitlines()
    assert rows[0] == "id,prediction"
    assert len(rows) == 1 + 2 * 1444
    assert (rows[1], rows[-1]) == ("001_0_0,0", "012_592_592,0")
    told = terralink("evaluate", "patches", truth, out, "--threshold", 128, "--json")
    assert told.code == 0, told.err
    result = json.loads(told.out)
    assert [case["name"] for case in result["cases"]] == ["satImage_001", "satImage_012"]
    assert (result["figures"]["f1"], result["figures"]["accuracy"]) == (1, 1)


def test_masks_are_of_pixels_and_from_submission_gives_those_of_patches(
    terralink: Run, grey: Path, images: Path, tmp_path: Path
) -> None:
    out, pixels, whole = (tmp_path / name for name in ("s.csv", "pixels", "patches"))
    more = "--out", out, "--masks", pixels, "--strategy", "whole"
    assert terralink("submit", images, "--model", grey, *more).code == 0
    assert terralink("from-submission", out, "--out", whole).code == 0
    assert sorted(path.name for path in pixels.iterdir()) == ["test_1.png", "test_12.png"]
    seen, drawn = (
        np.asarray(Image.open(path)) for path in (pixels / "test_1.png", whole / "001.png")
    )
    assert np.flatnonzero(seen[0] == 255).tolist() == list(range(96, 136))
    # the last patch of the street is half road
    assert np.flatnonzero(drawn[0] == 255).tolist() == list(range(96, 144))


def test_a_report_shows_a_submission(
    terralink: Run, grey: Path, images: Path, truth: Path, tmp_path: Path
) -> None:
    out, page = tmp_path / "s.csv", tmp_path / "worst.html"
    first = images / "test_1" / "test_1.png"
    assert terralink("submit", first, "--model", grey, "--out", out).code == 0
    ended = terralink("evaluate", "patches", truth, out, "--report", page)
    assert ended.code == 0, ended.err
    assert "satImage_012.png" in ended.err  # without a partner, and said so
    assert "satImage_001" in page.read_text()


@pytest.mark.parametrize(
    ("name", "side_px", "said"),
    [
        ("test_1.png", 300, "400 to 800 px"),
        ("test.png", 608, "no number in its name"),
    ],
)
def test_images_that_cannot_be_submitted_end_in_a_line(
    terralink: Run, grey: Path, tmp_path: Path, name: str, side_px: int, said: str
) -> None:
    Image.fromarray(streets(side_px, 96)).save(tmp_path / name)
    Image.fromarray(streets(608, 96)).save(tmp_path / "test_2.png")
    out = tmp_path / "out" / "s.csv"
    ended = terralink("submit", tmp_path, "--model", grey, "--out", out)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert said in ended.err
    assert not out.parent.exists()


def test_an_image_smaller_than_a_patch_ends_in_a_line(
    terralink: Run, grey: Path, tmp_path: Path
) -> None:
    Image.fromarray(streets(608, 96)[:10]).save(tmp_path / "test_1.png")
    more = "--out", tmp_path / "s.csv", "--strategy", "whole"
    ended = terralink("submit", tmp_path, "--model", grey, *more)
    assert ended.code == 2
    assert "image 001 is of shape (10, 608)" in ended.err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("007_0_0,1", "images that"),
        ("001_0_0,1", "image 001 is 16 x 16 px"),
    ],
)
def test_a_submission_that_is_not_of_the_truth_is_refused(
    terralink: Run, truth: Path, tmp_path: Path, rows: str, said: str
) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"id,prediction\n{rows}\n")
    for against in (truth, truth / "satImage_001.png"):
        ended = terralink("evaluate", "patches", against, path)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert (said if against.is_dir() else "no folder") in ended.err
