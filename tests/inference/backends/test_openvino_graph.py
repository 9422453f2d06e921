"""A network made ready for tiles computes what the file says."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from terralink import inference
from terralink.inference.backends import openvino_graph


def kinds(of: openvino.Model) -> list[str]:
    return [str(node.get_type_name()) for node in of.get_ordered_ops()]


def test_mirrors_that_do_nothing_are_taken_out_and_weights_stay_in_8_bits() -> None:
    whole = openvino_graph.read(inference.shipped()["roads"])
    tiled = openvino_graph.for_tiles(whole, bands=3, side_px=64)
    assert "GatherND" in kinds(whole)
    assert "GatherND" not in kinds(tiled)
    eight_bits = [
        sum(node.get_output_element_type(0) == openvino.Type.i8 for node in of.get_ops())
        for of in (whole, tiled)
    ]
    assert eight_bits[0] == eight_bits[1] > 0


def test_levels_are_rounded_probabilities(grey: Path) -> None:
    model = inference.load(grey)
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    for level, prob in zip(model.levels(images), model.stream(images), strict=True):
        assert level.dtype == np.uint8
        np.testing.assert_array_equal(level, np.rint(prob * 255))


def test_without_bf16_a_tile_agrees_with_the_file_as_it_is() -> None:
    whole = openvino_graph.read(inference.shipped()["roads"])
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    core, exactly = openvino_graph.core(), {"INFERENCE_PRECISION_HINT": "f32"}
    expected = core.compile_model(whole, "CPU", exactly)(image.astype(np.float32))[0]
    tiled = openvino_graph.for_tiles(whole, bands=3, side_px=64)
    found = core.compile_model(tiled, "CPU", exactly)(image)[0]
    assert float(expected.max()) > 0.01
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_last_layer_makes_blocks_of_pixels_to_the_same_levels() -> None:
    whole = openvino_graph.read(inference.shipped()["roads"])
    tiled = openvino_graph.for_tiles(whole, bands=3, side_px=64)
    core, exactly = openvino_graph.core(), {"INFERENCE_PRECISION_HINT": "f32"}
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    expected = core.compile_model(tiled, "CPU", exactly)(image)[0]
    blocks = openvino_graph.to_levels(tiled)
    assert "DepthToSpace" in kinds(blocks)
    found = core.compile_model(blocks, "CPU", exactly)(image)[0]
    assert expected.shape == found.shape
    np.testing.assert_array_equal(found, np.rint(expected * 255))


@pytest.mark.parametrize(
    ("classes", "side"), [(1, 3), (2, 3), (1, 1)], ids=["blocks", "two classes", "one pixel"]
)
def test_a_layer_is_made_of_blocks_only_where_that_fits(classes: int, side: int) -> None:
    image = ops.parameter([1, 3, 32, 32], np.float32)
    kernels = np.random.default_rng(0).normal(size=(classes, 3, side, side)).astype(np.float32)
    pads = [side // 2] * 2
    logits = ops.convolution(image, ops.constant(kernels), [1, 1], pads, pads, [1, 1])
    plain = openvino.Model([ops.sigmoid(logits)], [image])
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    given = np.random.default_rng(1).normal(size=(1, 3, 32, 32)).astype(np.float32)
    expected = openvino_graph.core().compile_model(plain, "CPU", exactly)(given)[0]
    levels = openvino_graph.to_levels(plain)
    assert ("DepthToSpace" in kinds(levels)) == (classes == 1 and side == 3)
    found = openvino_graph.core().compile_model(levels, "CPU", exactly)(given)[0]
    assert np.abs(found - expected * 255).max() <= 0.501


_A_SIGNAL_AFTER_NETWORKS = """
import os, signal
import numpy as np
from terralink import inference

first, second = (inference.load("roads", provider="openvino") for _ in range(2))
for model in (first, second):
    next(model.levels([np.zeros((3, 64, 64), np.uint8)]))
del model, first  # as they came, not as stacks are taken down
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_signal_finds_its_stack_when_networks_have_gone() -> None:
    done = subprocess.run([sys.executable, "-c", _A_SIGNAL_AFTER_NETWORKS], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, b"handled\n")
