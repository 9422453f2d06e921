"""Every benchmark runs in its smallest form, so that none breaks unseen; no figure is judged."""

import importlib.util
import itertools
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
GREY = Path(__file__).parent / "cli" / "grey.onnx"

# Arguments, what else is made small, and whether torch is needed
SMALLEST: dict[str, tuple[list[str], dict[str, Any]]] = {
    "apls": (["4", "--sample", "5"], {}),
    "buildings": (["9"], {}),
    "cluster": (
        ["--side", "256", "--scenes", "1", "--tile-s", "0", "--workers", "1", "--kill-every", "0"],
        {},
    ),
    "memory": (["256x256"], {}),
    "roads": (["256", "--rounds", "1"], {}),
    "survival": (["--side", "256", "--kills", "1", "--model", str(GREY), "--ends"], {}),
    "seams": (["--side", "200", "--tile", "384"], {"_SEEDS": (0,)}),
    "towns": (["2", "--side-px", "400", "--sample", "9"], {}),
}
WITH_DATA = ("label_fractions", "map_model", "road_model", "shifts")  # of a folder of data or runs
EXTRAS = {"cluster": "distributed"}  # what else a benchmark needs
WITH_TORCH: dict[str, tuple[list[str], dict[str, Any]]] = {
    "augment": ([], {"_ROUNDS": 1}),
    "depthwise": ([], {"_ROUNDS": 1, "_SHAPES": [(8, 16, 3, 2)]}),
    "models": (
        ["linknet18", "--baseline", "linknet18", "--tile", "64", "--rounds", "1"],
        {},
    ),
    "engine": (
        ["--side", "256", "--rounds", "1", "--tiles", "1", "--networks"],
        {"_MATRIX_PX": 64},
    ),
    "training": (
        ["linknet_lite0", "--crop", "64", "--batch", "2", "--steps", "3"],
        {"_SIDE_PX": 64},
    ),
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    spec.loader.exec_module(module)
    return module


def run(
    name: str, arguments: list[str], small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))  # as python does for a script
    module = load(name)
    for constant, value in small.items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    module.main()


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_prints_its_table(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    run(name, *SMALLEST[name], monkeypatch)
    _, bar, table = capsys.readouterr().out.partition("|---")
    rule, *rows = (bar + table).splitlines()
    assert rows
    assert all(row.count("|") == rule.count("|") for row in rows)


@pytest.mark.torch
@pytest.mark.parametrize("name", WITH_TORCH)
def test_a_benchmark_of_networks_prints_something(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    run(name, *WITH_TORCH[name], monkeypatch)
    assert len(capsys.readouterr().out.splitlines()) > 1


@pytest.mark.data
@pytest.mark.torch
def test_the_road_model_is_scored_on_an_image_of_each_set(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    module = load("road_model")
    read_pictures = module.road_sets.read_pictures
    monkeypatch.setattr(
        module.road_sets, "read_pictures", lambda *args: itertools.islice(read_pictures(*args), 1)
    )
    monkeypatch.setattr(sys, "argv", ["road_model", os.fspath(data_root)])
    module.main()
    table = capsys.readouterr().out
    assert all(f"| roads | {name} | " in table for name in [*module.road_sets.SETS, module.SCENE])


@pytest.mark.data
@pytest.mark.torch
def test_a_scene_that_is_moved_is_compared_with_itself(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    arguments = ["--set", "vegas", "--count", "1", "--shifts", "0,32"]
    monkeypatch.setattr(sys, "argv", ["shifts", os.fspath(data_root), *arguments])
    module = load("shifts")
    eye = np.eye(100, dtype=bool)
    figures = module.Agreements({0: module.Agreement.of(eye, eye)}).figures()
    assert figures["least"] == figures["least inside"] == 1
    module.main()
    assert "| roads | vegas | " in capsys.readouterr().out


@pytest.mark.torch
def test_fractions_of_labels_are_read_from_runs_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from terralink.train import Recipe

    for stage, fraction, figure in (("one", 0.1, 0.5), ("two", 0.1, 0.7), ("two", 1.0, 0.9)):
        run = tmp_path / stage / str(fraction)
        run.mkdir(parents=True)
        recipe = Recipe.from_name("epfl", {"train.0.source.fraction": str(fraction)})
        (run / "recipe.yaml").write_text(recipe.to_yaml())
        (run / "scores.json").write_text(f'{{"epfl/patch_f1": {figure}}}')
    stages = [str(tmp_path / stage) for stage in ("one", "two")]
    curve = tmp_path / "curve.png"
    run_of = ["label_fractions", *stages, "--out", str(curve)]
    monkeypatch.setattr(sys, "argv", run_of)
    load("label_fractions").main()
    assert capsys.readouterr().out.splitlines()[2:] == ["| 10 | 0.500 | 0.700 | +0.200 |"]
    assert curve.read_bytes().startswith(b"\x89PNG")


def test_no_benchmark_is_left_out() -> None:
    names = {path.stem for path in FOLDER.glob("*.py")}
    shared = {"scenes", "road_sets"}  # what others import
    assert names - shared == {*SMALLEST, *WITH_TORCH, *WITH_DATA}
