"""``terralink recipes``, and ``train`` where it is given an ensemble."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

Run = Callable[..., Any]


def test_recipes_stand_under_their_paper_with_its_figure(terralink: Run) -> None:
    lines = terralink("recipes").out.splitlines()
    title = lines.index("LinkNetB7 (Gong, Zong and Du, EPFL)")
    assert lines[title + 1].split()[:5] == [
        "linknetb7",
        "patch_f1",
        "0.923,",
        "patch_accuracy",
        "0.958",
    ]


def test_an_ensemble_is_shown_and_listed(terralink: Run) -> None:
    shown = json.loads(terralink("recipes", "dlinknet_ensemble_of_two", "--json").out)
    assert shown["members"] == {"dlinknet_unet_augmented": 0.5, "dlinknet_linknet34": 0.5}
    listed = json.loads(terralink("recipes", "--json").out)["recipes"]
    assert shown in listed


def test_an_ensemble_of_the_command_line_needs_its_data(terralink: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ended = terralink("train", "dlinknet_ensemble_of_two", "--data", tmp_path, "--out", out)
    assert (ended.code, out.exists()) == (2, False)
    assert "deepglobe" in ended.err
    ended = terralink(
        "train", "dlinknet_ensemble_of_two", "--data", tmp_path, "--out", out, "--start", tmp_path
    )
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "leave out --start" in ended.err


def test_a_page_without_marks_gets_one_line(terralink: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("mine")
    ended = terralink("recipes", "--into", page)
    assert (ended.code, ended.err.count("\n"), page.read_text()) == (2, 1, "mine")
