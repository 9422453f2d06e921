"""A network made ready for tiles computes what the file says."""

from pathlib import Path

import numpy as np
import openvino
import pytest

from terralink import predict
from terralink.predict import network


def kinds(of: openvino.Model) -> list[str]:
    return [str(node.get_type_name()) for node in of.get_ordered_ops()]


def test_mirrors_that_do_nothing_are_taken_out_and_weights_stay_in_8_bits() -> None:
    whole = network.read(predict.shipped()["roads"])
    tiled = network.for_tiles(whole, bands=3, side_px=64)
    assert "GatherND" in kinds(whole)
    assert "GatherND" not in kinds(tiled)
    eight_bits = [
        sum(node.get_output_element_type(0) == openvino.Type.i8 for node in of.get_ops())
        for of in (whole, tiled)
    ]
    assert eight_bits[0] == eight_bits[1] > 0


def test_levels_are_rounded_probabilities(grey: Path) -> None:
    model = predict.load(grey)
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64)).astype(np.uint8)
    for level, prob in zip(model.levels(images), model.stream(images), strict=True):
        assert level.dtype == np.uint8
        np.testing.assert_array_equal(level, np.rint(prob * 255))


def test_without_bf16_a_tile_agrees_with_the_file_as_it_is() -> None:
    whole = network.read(predict.shipped()["roads"])
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64)).astype(np.uint8)
    core, exactly = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    expected = core.compile_model(whole, "CPU", exactly)(image.astype(np.float32))[0]
    tiled = network.for_tiles(whole, bands=3, side_px=64)
    found = core.compile_model(tiled, "CPU", exactly)(image)[0]
    assert float(expected.max()) > 0.01
    assert found == pytest.approx(expected, abs=1e-5)
