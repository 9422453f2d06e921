"""OpenVINO computes what the file says, and keeps one compiled model, none after many tiles."""

import subprocess
import sys
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
        compiled = openvino_backend.OpenVino._compile

        def noted(model: openvino_backend.OpenVino, side_px: int, *, as_uint8: bool) -> Any:
            network = compiled(model, side_px, as_uint8=as_uint8)
            self.made.append(weakref.ref(network))
            return network

        monkeypatch.setattr(openvino_backend.OpenVino, "_compile", noted)

    @property
    def held(self) -> int:
        return sum(network() is not None for network in self.made)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    return Compiled(monkeypatch)


def test_the_network_of_the_last_size_alone_is_held(grey: Path, compiled: Compiled) -> None:
    model = inference.load_model(grey, provider="openvino")
    for side_px in (32, 64, 64, 96, 32):
        (prob,) = model.predict_uint8(images(side_px, 1))
        assert prob.shape == (1, side_px, side_px)
        assert compiled.held == 1
    assert len(compiled.made) == 4


def test_probabilities_of_two_sizes_come_side_by_side(grey: Path) -> None:
    model = inference.load_model(grey, provider="openvino")
    pairs = zip(model.predict_uint8(images(32, 9)), model.predict_uint8(images(64, 9)), strict=True)
    assert {(small.shape[1], large.shape[1]) for small, large in pairs} == {(32, 64)}


def test_nothing_is_held_after_many_tiles(
    grey: Path, compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "_MANY_TILES", 5)
    model = inference.load_model(grey, provider="openvino")
    for count, held in [(4, 1), (5, 0), (4, 1)]:
        assert len(list(model.predict_uint8(images(32, count)))) == count
        assert compiled.held == held
    broken_off = iter(model.predict_uint8(images(32, 9)))
    for _ in range(5):
        next(broken_off)
    assert compiled.held == 1
    del broken_off
    assert compiled.held == 0


def test_streams_are_bounded_and_with_them_what_a_machine_of_many_cores_holds(
    grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_backend, "_MAX_STREAMS", 1)
    model = openvino_backend.OpenVino(grey)
    assert model._compiled_for(64, as_uint8=True).get_property("NUM_STREAMS") == 1


def test_uint8_is_the_rounded_probability(grey: Path) -> None:
    model = inference.load_model(grey)
    tiles = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    both = zip(model.predict_uint8(tiles), model.predict_float32(tiles), strict=True)
    for rounded, prob in both:
        assert rounded.dtype == np.uint8
        np.testing.assert_array_equal(rounded, np.rint(prob * 255))


def test_without_bf16_a_tile_agrees_with_the_file_as_it_is() -> None:
    network, _ = openvino_backend.read_network(inference.list_models()["roads"])
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    core, exact = openvino_backend.core(), {"INFERENCE_PRECISION_HINT": "f32"}
    expected = core.compile_model(network, "CPU", exact)(image.astype(np.float32))[0]
    assert float(expected.max()) > 0.01
    for as_uint8, scale, tolerance in [(False, 1, 1e-5), (True, 255, 0.501)]:
        tiled = openvino_backend.for_tiles(network, bands=3, side_px=64, as_uint8=as_uint8)
        found = core.compile_model(tiled, "CPU", exact)(image)[0]
        assert np.abs(found - expected * scale).max() <= tolerance


def test_the_bundled_file_needs_no_change_when_it_is_loaded() -> None:
    network, _ = openvino_backend.read_network(inference.list_models()["roads"])
    kinds = {str(node.get_type_name()) for node in network.get_ops()}
    assert "DepthToSpace" in kinds  # the last layer computes blocks
    assert "GatherND" not in kinds  # images are not padded


_A_SIGNAL_AFTER_NETWORKS = """
import os, signal
import numpy as np
from terralink import inference

first, second = (inference.load_model("roads", provider="openvino") for _ in range(2))
for model in (first, second):
    next(model.predict_uint8([np.zeros((3, 64, 64), np.uint8)]))
del model, first  # as they came, not as stacks are taken down
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_finds_its_stack_when_networks_have_gone() -> None:
    done = subprocess.run([sys.executable, "-c", _A_SIGNAL_AFTER_NETWORKS], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"handled\n")
