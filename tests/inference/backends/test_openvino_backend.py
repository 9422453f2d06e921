"""What OpenVINO holds: a network for the last size of tile, and none after many tiles."""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from terralink import inference
from terralink.inference.backends import openvino_backend


def images(side_px: int, count: int) -> Iterator[NDArray[np.uint8]]:
    return (np.full((3, side_px, side_px), 128, np.uint8) for _ in range(count))


class Compiled:
    """The networks that were compiled, and those of them that somebody still holds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[weakref.ref[Any]] = []
        compiled = openvino_backend.OpenVino._compiled

        def noted(model: openvino_backend.OpenVino, side_px: int, *, as_levels: bool) -> Any:
            network = compiled(model, side_px, as_levels=as_levels)
            self.made.append(weakref.ref(network))
            return network

        monkeypatch.setattr(openvino_backend.OpenVino, "_compiled", noted)

    @property
    def held(self) -> int:
        return sum(network() is not None for network in self.made)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    return Compiled(monkeypatch)


def test_the_network_of_the_last_size_alone_is_held(grey: Path, compiled: Compiled) -> None:
    model = inference.load(grey, provider="openvino")
    for side_px in (32, 64, 64, 96, 32):
        (level,) = model.levels(images(side_px, 1))
        assert level.shape == (1, side_px, side_px)
        assert compiled.held == 1
    assert len(compiled.made) == 4


def test_levels_of_two_sizes_come_side_by_side(grey: Path) -> None:
    model = inference.load(grey, provider="openvino")
    pairs = zip(model.levels(images(32, 9)), model.levels(images(64, 9)), strict=True)
    assert {(small.shape[1], large.shape[1]) for small, large in pairs} == {(32, 64)}


def test_nothing_is_held_after_many_tiles(
    grey: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "_MANY_TILES", 5)
    model = inference.load(grey, provider="openvino")
    for count, held in [(4, 1), (5, 0), (4, 1)]:
        assert len(list(model.levels(images(32, count)))) == count
        assert compiled.held == held
    broken_off = iter(model.levels(images(32, 9)))
    for _ in range(5):
        next(broken_off)
    assert compiled.held == 1
    del broken_off
    assert compiled.held == 0


def test_streams_are_bounded_and_with_them_what_a_machine_of_many_cores_holds(
    grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "_MOST_STREAMS", 1)
    model = openvino_backend.OpenVino(grey)
    assert model._for_side(64, as_levels=True).get_property("NUM_STREAMS") == 1
