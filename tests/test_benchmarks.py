"""Every benchmark runs in its smallest form, so that none dies unseen; no figure is judged."""

import dataclasses
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"

# Arguments, what else is made small, and whether torch is needed
SMALLEST: dict[str, tuple[list[str], dict[str, Any]]] = {
    "apls": (["4", "--sample", "5"], {}),
    "buildings": (["9"], {}),
    "memory": (["256"], {}),
    "roads": (["256", "--rounds", "1"], {}),
    "towns": (["2", "--side-px", "400", "--sample", "9"], {}),
}
WITH_TORCH: dict[str, tuple[list[str], dict[str, Any]]] = {
    "augment": ([], {"_ROUNDS": 1}),
    "depthwise": ([], {"_ROUNDS": 1, "_SHAPES": [(8, 16, 3, 2)]}),
    "models": (
        ["linknet_lite0", "--baseline", "linknet_lite0", "--tile", "64", "--rounds", "1"],
        {},
    ),
    "training": (
        ["linknet_lite0", "--crop", "64", "--batch", "2", "--steps", "3"],
        {"_SIDE_PX": 64},
    ),
}


def loaded(name: str) -> ModuleType:
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
    module = loaded(name)
    for constant, value in small.items():
        assert hasattr(module, constant)
        monkeypatch.setattr(module, constant, value)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    module.main()


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_prints_its_table(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
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
    module = loaded("road_model")
    whole = module.pixels

    def first(model: Any, pairs: Any, *, tta: bool) -> Any:
        one = dataclasses.replace(pairs, images=pairs.images[:1], masks=pairs.masks[:1])
        return whole(model, one, tta=tta)

    monkeypatch.setattr(module, "pixels", first)
    monkeypatch.setattr(sys, "argv", ["road_model", os.fspath(data_root)])
    module.main()
    assert "| roads | 0." in capsys.readouterr().out


def test_no_benchmark_is_left_out() -> None:
    there = {path.stem for path in FOLDER.glob("*.py")}
    assert there == {*SMALLEST, *WITH_TORCH, "road_model"}
