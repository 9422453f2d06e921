"""Model files: their metadata, what is refused; an ensemble is the weighted mean of models."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from terralink import inference
from terralink.cli import options
from terralink.errors import InputError, ModelError
from terralink.model_card import Metadata

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64)).astype(np.uint8)


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'roads'"):
        inference.load_model("road")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model file"):
        inference.load_model(tmp_path / "mine.onnx")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a checkpoint|terralink\[train\]"):
        inference.load_model(tmp_path)


def test_a_misspelt_provider_is_told_the_nearest(grey: Path) -> None:
    with pytest.raises(ModelError, match="did you mean 'onnxruntime'"):
        inference.load_model(grey, provider="onnxrt")


def test_a_provider_that_is_not_installed_is_told_how_to_get(
    grey: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(
        sys.modules, "terralink.inference.backends.onnxruntime_backend", raising=False
    )
    with pytest.raises(ModelError, match=r"pip install 'terralink\[onnxruntime\]'"):
        inference.load_model(grey, provider="onnxruntime")


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no protobuf" * 100)
    with pytest.raises(ModelError, match="not a model") as caught:
        inference.load_model(tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)


def test_results_come_in_order_however_many_are_under_way(grey: Path) -> None:
    model = inference.load_model(grey)
    reds = [0, 128, 255, 128, 7, 128, 250, 128, 128, 3]
    images = [np.full((3, 32, 32), 128, np.uint8) for _ in reds]
    for image, red in zip(images, reds, strict=True):
        image[0] = red
    found = [float(prob.mean()) > 0.5 for prob in model.predict_float32(iter(images))]
    assert found == [red == 128 for red in reds]


def test_no_images_give_no_results(grey: Path) -> None:
    assert list(inference.load_model(grey).predict_float32([])) == []


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({}, "no terralink metadata"),
        ({"terralink": "not JSON"}, "JSON"),
        ({"terralink": '{"name": "x", "pixel_size_m": -1}'}, "pixel_size_m"),
        ({"terralink": '{"name": "x", "tile_px": 100}'}, "tile_px"),
        ({"terralink": '{"name": "' + "x" * 2_000_000 + '"}'}, "refused"),
    ],
)
def test_a_card_that_is_wrong_is_refused_with_the_place(written: dict[str, str], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        Metadata.from_props(written, source="mine.onnx")


def test_a_card_comes_back_as_it_was_written() -> None:
    card = Metadata(name="x", classes=("road", "path"), pixel_size_m=0.3, figures={"iou": 0.5})
    assert Metadata.from_props(card.to_props(), source="here") == card


@pytest.mark.parametrize(
    "told",
    [
        {"name": "<script>alert(1)</script>"},
        {"name": "two\nlines"},
        {"name": "x" * 201},
        {"classes": []},
        {"bands": ["red"] * 256},
        {"tile_px": 1 << 40},
        {"margin_px": 1 << 40},
        {"pixel_size_m": 1e300},
        {"threshold": "often"},
    ],
)
def test_a_card_of_hostile_values_is_refused_in_one_line(told: dict[str, object]) -> None:
    written = {"terralink": json.dumps({"name": "x", **told})}
    with pytest.raises(ModelError, match=r"^mine\.onnx: metadata [^\n]*$"):
        Metadata.from_props(written, source="mine.onnx")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"name": 1e999}', "null", "x" * 1_000_001])
def test_a_card_that_is_no_card_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ModelError, match=r"^mine\.onnx[^\n]*$"):
        Metadata.from_props({"terralink": text}, source="mine.onnx")


def test_an_ensemble_is_the_weighted_mean(grey: Path) -> None:
    models = [inference.load_model(grey), inference.load_model("roads"), inference.load_model(grey)]
    both = inference.Ensemble(models, [0.25, 0.5, 0.25])
    first, second = (
        np.stack(list(model.predict_uint8(IMAGES))).astype(float) for model in models[:2]
    )
    found = np.stack(list(both.predict_uint8(iter(IMAGES))))
    assert np.abs(found - (first + second) / 2).max() <= 0.51
    assert both.metadata.name == f"{models[0].metadata.name}+roads+{models[0].metadata.name}"
    assert both.metadata.threshold == pytest.approx(
        (models[0].metadata.threshold + models[1].metadata.threshold) / 2
    )


def test_a_model_with_itself_is_itself(grey: Path) -> None:
    model = inference.load_model(grey)
    twice = inference.Ensemble([model, model], [3, 1])
    for alone, together in zip(
        model.predict_uint8(IMAGES), twice.predict_uint8(IMAGES), strict=True
    ):
        np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_weights_that_cannot_be_are_refused(grey: Path, weights: list[float]) -> None:
    with pytest.raises(ModelError, match="one weight above 0 for each model"):
        inference.Ensemble([inference.load_model(grey)] * 2, weights)


def test_models_of_different_ground_sizes_are_refused(grey: Path) -> None:
    fine, coarse = inference.load_model(grey), inference.load_model(grey)
    coarse.metadata = coarse.metadata.model_copy(update={"pixel_size_m": 2.0})
    with pytest.raises(ModelError, match="the same pixel_size_m"):
        inference.Ensemble([fine, coarse])


def test_the_command_line_takes_several_models_and_their_weights(grey: Path) -> None:
    both = options.load_model([str(grey), "roads"], "3,1")
    assert isinstance(both, inference.Ensemble)
    assert both.weights == (0.75, 0.25)
    assert isinstance(options.load_model(None, None), inference.Model)
    with pytest.raises(InputError, match="--weights wants numbers"):
        options.load_model([str(grey), "roads"], "a lot")
