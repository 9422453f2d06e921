"""The stand-in model that these tests run, ``grey.onnx``, is what is written here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terralink.model_card import Metadata

GREY = Path(__file__).with_name("grey.onnx")


def grey() -> Any:
    """Road is where a pixel is grey: prob = sigmoid(6 - 0.4 (max - min over the bands))."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("ReduceMax", ["image", "bands"], ["highest"], keepdims=1),
        helper.make_node("ReduceMin", ["image", "bands"], ["lowest"], keepdims=1),
        helper.make_node("Sub", ["highest", "lowest"], ["colour"]),
        helper.make_node("Mul", ["colour", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["prob"]),
    ]
    constants = {
        "bands": np.array([1]),
        "slope": np.array([-0.4], np.float32),
        "offset": np.array([6.0], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Metadata(name="grey", about="a stand-in for tests: what is grey is road")
    helper.set_model_props(model, card.to_props())
    return model


def test_the_stand_in_is_what_is_written_here() -> None:
    onnx = pytest.importorskip("onnx")
    assert onnx.load(GREY).graph == grey().graph
