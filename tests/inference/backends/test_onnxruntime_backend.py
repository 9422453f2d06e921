"""ONNX Runtime computes what OpenVINO does, where the user prefers it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnxruntime", reason="needs the extra 'onnxruntime'")
from terralink import inference
from terralink.inference import backends
from terralink.inference.backends.onnxruntime_backend import OnnxRuntime
from terralink.synthetic import draw


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Nine parts of 64 px of a drawn town (9, 3, 64, 64)."""
    image = draw((192, 192), seed=7).image(0, 0, (192, 192))
    parts = image.reshape(3, 3, 64, 3, 64).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(parts.reshape(9, 3, 64, 64))


def both(model: Path | str, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Levels by OpenVINO and by ONNX Runtime."""
    openvino, onnxruntime = (
        np.stack(
            list(inference.load_model(model, provider=name).predict_uint8(iter(images)))
        ).astype(int)
        for name in ("openvino", "onnxruntime")
    )
    return openvino, onnxruntime


def test_a_float_model_gives_the_same_levels_but_for_rounding(
    grey: Path, images: NDArray[np.uint8]
) -> None:
    openvino, onnxruntime = both(grey, images)
    assert np.ptp(openvino) > 100
    assert np.abs(openvino - onnxruntime).max() <= 2


def test_an_int8_model_gives_about_the_same_levels(images: NDArray[np.uint8]) -> None:
    # Both round what lies between layers to 8 bits, each in its own place.
    openvino, onnxruntime = both("roads", images)
    assert np.ptp(openvino) > 100
    assert np.abs(openvino - onnxruntime).mean() < 3


def test_levels_are_rounded_probabilities_in_the_order_of_the_images(
    grey: Path, images: NDArray[np.uint8]
) -> None:
    model = inference.load_model(grey, provider="onnxruntime", threads=1)
    found = list(model.predict_uint8(iter(images)))
    assert len(found) == len(images)
    for level, prob in zip(found, model.predict_float32(iter(images)), strict=True):
        assert level.dtype == np.uint8
        np.testing.assert_array_equal(level, np.rint(prob * 255))
    assert list(model.predict_uint8([])) == []


def test_the_provider_says_what_computes_and_how(grey: Path) -> None:
    told = [inference.load_model(each, provider="onnxruntime").provider for each in (grey, "roads")]
    assert told == ["ONNX Runtime CPU, fp32", "ONNX Runtime CPU, int8"]


@pytest.mark.parametrize(
    ("package", "card", "chosen"),
    [(False, True, "openvino"), (True, False, "openvino"), (True, True, "onnxruntime")],
)
def test_a_card_is_taken_where_its_package_finds_one(
    package: bool, card: bool, chosen: str, grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_has_cuda_package", lambda: package)
    monkeypatch.setattr(OnnxRuntime, "on_cuda", card)
    model = inference.load_model(grey)
    assert model.provider_name == chosen
    assert ("CUDA" in model.provider) == (chosen == "onnxruntime")
