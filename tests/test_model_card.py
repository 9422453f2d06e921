"""What other tools read of a model file: each class by the number of its channel."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralink.model_card import Metadata

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=8, unique=True)


@given(NAMES, st.integers(0, 99))
def test_the_largest_channel_has_the_name_of_its_class(names: list[str], seed: int) -> None:
    card = Metadata(name="x", classes=tuple(names), threshold=0.5)
    props = card.to_props()
    by_index = json.loads(props["class_names"])
    assert len(by_index) == len(names)  # as many names as channels
    prob = np.random.default_rng(seed).dirichlet(np.ones(len(names)))
    # As Deepness does it: what is under the threshold is 0, then the largest channel is taken.
    prob[prob < json.loads(props["seg_thresh"])] = 0
    assert by_index[str(prob.argmax())] == names[int(prob.argmax())]


def test_four_channels_have_four_names_with_a_background_or_without() -> None:
    for names in (("background", "road", "water", "roof"), ("other", "road", "water", "roof")):
        written = Metadata(name="x", classes=names).to_props()["class_names"]
        assert json.loads(written) == {str(index): name for index, name in enumerate(names)}


def test_one_channel_is_split_by_its_threshold() -> None:
    props = Metadata(name="x", classes=("road",), threshold=0.3).to_props()
    assert json.loads(props["class_names"]) == {"0": "background", "1": "road"}
    assert json.loads(props["seg_thresh"]) == 0.3


@pytest.mark.parametrize(("classes", "warned"), [(("road",), False), (("a", "b"), True)])
def test_an_old_file_whose_names_are_shifted_is_read_and_gets_a_word(
    classes: tuple[str, ...], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    card = Metadata(name="x", classes=classes)
    old = {"class_names": json.dumps(dict(enumerate(("background", *classes))))}
    with caplog.at_level(logging.WARNING):
        assert Metadata.from_props({**card.to_props(), **old}, source="old.onnx") == card
        assert Metadata.from_props(card.to_props(), source="new.onnx") == card
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == warned
    assert all("old.onnx was exported by an older version" in line for line in lines)
