"""An ensemble is the weighted mean of its models, and is used as one of them."""

from pathlib import Path

import numpy as np
import pytest

from terralink import inference
from terralink.cli import options
from terralink.errors import InputError, ModelError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 64, 64)).astype(np.uint8)


def test_levels_are_the_weighted_mean(grey: Path) -> None:
    models = [inference.load(grey), inference.load("roads"), inference.load(grey)]
    both = inference.Ensemble(models, [0.25, 0.5, 0.25])
    first, second = (np.stack(list(model.levels(IMAGES))).astype(float) for model in models[:2])
    found = np.stack(list(both.levels(iter(IMAGES))))
    assert np.abs(found - (first + second) / 2).max() <= 0.51
    assert both.metadata.name == f"{models[0].metadata.name}+roads+{models[0].metadata.name}"
    assert both.metadata.threshold == pytest.approx(
        (models[0].metadata.threshold + models[1].metadata.threshold) / 2
    )


def test_a_model_with_itself_is_itself(grey: Path) -> None:
    model = inference.load(grey)
    twice = inference.Ensemble([model, model], [3, 1])
    for alone, together in zip(model.levels(IMAGES), twice.levels(IMAGES), strict=True):
        np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_weights_that_cannot_be_are_refused(grey: Path, weights: list[float]) -> None:
    with pytest.raises(ModelError, match="a weight over 0 for each model"):
        inference.Ensemble([inference.load(grey)] * 2, weights)


def test_models_of_different_ground_sizes_are_refused(grey: Path) -> None:
    fine, coarse = inference.load(grey), inference.load(grey)
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
