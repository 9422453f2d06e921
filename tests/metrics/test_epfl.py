"""The challenge's table: masks to patches, patches to rows, and back; what is no such table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from terralink.errors import InputError
from terralink.metrics import (
    Confusion,
    count_patches,
    find_numbered_images,
    label_patches,
    read_submission,
    write_submission,
)

Mask = NDArray[np.bool_]
Write = Callable[[str], Path]

sides = st.tuples(st.integers(16, 50), st.integers(16, 50))
masks = sides.flatmap(lambda shape: arrays(bool, shape))


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write rows below the header."""

    def write(rows: str, *, header: str = "id,prediction") -> Path:
        path = tmp_path / "submission.csv"
        path.write_text(f"{header}\n{rows}")
        return path

    return write


@settings(deadline=None, max_examples=25)
@given(st.dictionaries(st.integers(0, 1200), masks, min_size=1, max_size=3))
def test_masks_come_back_with_the_same_patches(
    tmp_path_factory: pytest.TempPathFactory, images: dict[int, Mask]
) -> None:
    path = tmp_path_factory.mktemp("table") / "submission.csv"
    write_submission(path, images)
    found = read_submission(path)
    assert found.keys() == images.keys()
    for number, mask in images.items():
        height, width = mask.shape
        again = found[number]
        assert again.shape == (-(-height // 16) * 16, -(-width // 16) * 16)
        assert (label_patches(again) == label_patches(mask)).all()
        assert count_patches(mask, again[:height, :width]).accuracy() == 1


def test_rows_are_those_of_a_loop_over_columns_then_rows(tmp_path: Path) -> None:
    mask = np.random.default_rng(3).random((70, 40)) < 0.25
    write_submission(tmp_path / "submission.csv", {12: mask, 3: ~mask})
    wanted = ["id,prediction"]
    for number, image in ((3, ~mask), (12, mask)):
        for x in range(0, 40, 16):
            for y in range(0, 70, 16):
                label = int(image[y : y + 16, x : x + 16].mean() > 0.25)
                wanted.append(f"{number:03d}_{x}_{y},{label}")
    assert (tmp_path / "submission.csv").read_text() == "\n".join(wanted) + "\n"


def test_a_test_image_has_1444_patches(tmp_path: Path) -> None:
    images = dict.fromkeys((1, 2), np.zeros((608, 608)))
    write_submission(tmp_path / "submission.csv", images)
    assert len((tmp_path / "submission.csv").read_text().splitlines()) == 1 + 2 * 1444


def test_an_image_smaller_than_a_patch_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="image 007 is of shape"):
        write_submission(tmp_path / "submission.csv", {7: np.zeros((15, 400))})
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_another_system_is_read(table: Write) -> None:
    path = table("")
    path.write_bytes(b"\xef\xbb\xbfid,prediction\r\n001_0_16,1\r\n001_0_0,0\r\n")
    assert read_submission(path)[1][:, 0].tolist() == [False] * 16 + [True] * 16


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "no patches below"),
        ("001_0_0,2", "line 2: '001_0_0,2'"),
        ("001_0_0,1\n001_0_16,0.5", "line 3: '001_0_16,0.5'"),
        ("001_0_8,1", "steps of 16"),
        ("1-0-0,1", "such as 001_0_16,1"),
        ("001_0_0,1\n\n001_0_16,1", "line 3: ''"),
        ("001_0_0,1\n001_0_0,1", "line 3: the patch 001_0_0 occurs twice"),
        ("001_0_0,1\n001_16_16,1", "image 001 has 32 x 32 px by its last patches, but 2"),
        ("001_999999984_999999984,1", "missing"),
        (f"{'9' * 5000}_0_0,1", "wanted an image's number"),
    ],
)
def test_what_is_no_such_table_is_told_in_a_line(table: Write, rows: str, said: str) -> None:
    with pytest.raises(InputError) as told:
        read_submission(table(rows))
    assert said in str(told.value)
    assert len(str(told.value)) < 300 + len(str(table("")))


@pytest.mark.parametrize("header", ["", "id;prediction", "\ufeffid,Prediction", "\x89PNG" * 20])
def test_another_header_is_refused(table: Callable[..., Path], header: str) -> None:
    with pytest.raises(InputError, match="wanted 'id,prediction'"):
        read_submission(table("001_0_0,1", header=header))


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_submission(path)


def test_images_are_found_by_the_last_number_in_their_names(tmp_path: Path) -> None:
    nested, plain = tmp_path / "set" / "test_10" / "test_10.png", tmp_path / "v2_2.webp"
    for path in (nested, plain):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(find_numbered_images([tmp_path / "set", plain]).items()) == [
        (2, plain),
        (10, nested),
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.png"], "has no number in its name"),
        (["test_1.png", "image_001.png"], "have the same number"),
        (["notes.txt"], "no images in"),
    ],
)
def test_images_that_cannot_be_numbered_are_refused(
    tmp_path: Path, names: list[str], said: str
) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=said):
        find_numbered_images([tmp_path])


def test_no_such_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_numbered_images([tmp_path / "nowhere"])


@pytest.mark.data
def test_the_truth_of_epfl_as_submission_scores_one(data_root: Path, tmp_path: Path) -> None:
    truth = {
        number: np.asarray(Image.open(path).convert("L")) / 255
        for number, path in find_numbered_images([data_root / "epfl/training/groundtruth"]).items()
    }
    write_submission(tmp_path / "submission.csv", truth)
    found = read_submission(tmp_path / "submission.csv")
    parts = [count_patches(truth[number], found[number]) for number in truth]
    total = sum(parts, start=Confusion.zero())
    assert (total.f1()[1], total.accuracy()) == (1, 1)
    assert total.counts.sum() == len(truth) * 625
