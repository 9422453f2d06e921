"""The verbs that need the extra ``train``: from a recipe to a model file that extracts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")  # comes with the extra, too
pytestmark = pytest.mark.torch

Run = Callable[..., Any]

TINY = """
name: tiny
about: two steps on one drawn town
model: {name: linknet18}
train: [{source: {kind: towns, count: 1, side_px: 96}, weight: 1}]
val: {towns: {kind: towns, count: 1, side_px: 96, seed: 9}}
augment: {crop_px: 64}
trainer: {steps: 9, batch_size: 2, steps_per_epoch: 2, workers: 0}
"""


def test_recipes_are_listed_and_one_can_be_copied(terralink: Run, tmp_path: Path) -> None:
    listed = terralink("recipes").out.splitlines()
    assert any(line.startswith("roads  ") for line in listed)
    mine = tmp_path / "mine.yaml"
    mine.write_text(terralink("recipes", "roads").out)
    assert terralink("recipes", mine).out == mine.read_text()
    assert json.loads(terralink("recipes", "roads", "--json").out) == yaml.safe_load(
        mine.read_text()
    )


def test_networks_are_listed_with_what_they_are(terralink: Run) -> None:
    ended = terralink("models")
    assert any(line.startswith("linknet34 ") for line in ended.out.splitlines())
    assert "linknet_lite0" in json.loads(terralink("models", "--json").out)["networks"]
    assert "ResNet-34" in terralink("models", "linknet34").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recipes", "raods"], "no recipe named 'raods'; did you mean 'roads'?"),
        (["models", "linknet43"], "did you mean 'linknet34'?"),
        (["train", "roads", "--data", "x", "--out", "y", "--set", "steps"], "KEY=VALUE"),
        (["train", "roads", "--data", "x", "--out", "y", "--set", "trainer.stepz=1"], "stepz"),
        (["train", "roads", "--data", "x", "--out", "y"], "--start"),
        (["train", "roads_first", "--data", "nowhere", "--out", "y"], "nowhere"),
        (["export", "nowhere"], "nowhere"),
        (["export", "nowhere", "--int8"], "--calibrate"),
    ],
)
def test_a_mistake_gets_one_line(
    terralink: Run, arguments: list[str], said: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = terralink(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert list(tmp_path.glob("*.onnx")) == []


@pytest.mark.usefixtures("shallow_resnets")
def test_what_was_trained_is_exported_and_extracts(terralink: Run, tmp_path: Path) -> None:
    recipe, run, model, maps = (tmp_path / n for n in ("tiny.yaml", "run", "tiny.onnx", "maps"))
    recipe.write_text(TINY)
    arguments = ["train", recipe, "--data", tmp_path, "--out", run, "--set", "trainer.steps=2"]
    trained = terralink(*arguments, "--json")
    assert trained.code == 0, trained.err
    assert 0 <= json.loads(trained.out)["scores"]["towns/iou"] <= 1
    exported = terralink("export", run, "--out", model, "--json")
    assert json.loads(exported.out)["model"]["name"] == "tiny"
    Image.new("RGB", (96, 64), "grey").save(tmp_path / "scene.png")
    ended = terralink("extract", tmp_path / "scene.png", "--model", model, "--out", maps)
    assert ended.code == 0, ended.err
    assert (maps / "scene.prob.tif").is_file()
