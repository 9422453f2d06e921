"""An OpenVINO network made ready for tiles of one size: levels in, levels out, nothing twice.

The exported file takes floats of any size; here it is fitted to what the engine feeds it. None of
it changes what is computed, but for the rounding of a probability p to round(255 p).
"""

import os
from functools import cache
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.passes import ConstantFolding, Manager
from openvino.preprocess import PrePostProcessor

from terralink.errors import ModelError
from terralink.model_card import Metadata

LEVELS = 255  # a probability p is the level round(255 p)
_BLOCK_PX = 4  # its square is how many channels a CPU's vectors make at once
_PIXEL_BY_PIXEL = ["Add", "Convert", "FakeQuantize", "Multiply", "Round", "Sigmoid", "Subtract"]


@cache
def core() -> openvino.Core:
    """The one of this process; never make another.

    With a Core a thread gets a stack for signals, and when that Core goes, the stack of before. Of
    two that go in the order they came the second leaves the thread with that of the first, which is
    no longer there: the next signal, as of Ctrl-C or of a child that ends, kills the process or
    writes over what lies there by then.
    """
    return openvino.Core()


def read(path: str | os.PathLike[str]) -> openvino.Model:
    """The network of an ONNX file. Raises ``ModelError`` when it is none."""
    try:
        return core().read_model(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{path} is not a model that can be read: {reason}") from error


def props(network: openvino.Model) -> dict[str, str]:
    """The ONNX file's metadata; OpenVINO keeps it under 'framework'."""
    if not network.has_rt_info(["framework"]):
        return {}
    told = network.get_rt_info(["framework"]).value
    return {key: str(value) for key, value in told.items()}


def checked(path: str | os.PathLike[str]) -> tuple[openvino.Model, Metadata]:
    """The network of a model file, and the card that it carries.

    Raises ``ModelError`` when it is none, or takes other images than its card says.
    """
    network = read(path)
    card = Metadata.from_props(props(network), source=os.fspath(path))
    inputs, bands = network.inputs, len(card.bands)
    fits = len(inputs) == len(network.outputs) == 1 and inputs[0].partial_shape.rank == 4
    if not fits or inputs[0].partial_shape[1] != bands:
        raise ModelError(f"{path} does not take images of {bands} bands as its card says")
    return network, card


def is_int8(network: openvino.Model) -> bool:
    """Whether it is quantised: some of its weights have 8 bits."""
    kinds = (node for node in network.get_ops() if node.get_type_name() == "Constant")
    return any(node.get_element_type() == openvino.Type.i8 for node in kinds)


def cpu_has_bf16() -> bool:
    """Whether this CPU computes in bf16."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def for_tiles(network: openvino.Model, *, bands: int, side_px: int) -> openvino.Model:
    """For images uint8 (1, bands, side, side): a network of fixed shape is planned once."""
    fixed = network.clone()
    fixed.reshape([1, bands, side_px, side_px])
    _drop_mirrors(fixed)
    steps = PrePostProcessor(fixed)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    return steps.build()


def to_levels(network: openvino.Model) -> openvino.Model:
    """With probabilities as levels uint8: a quarter of the bytes to write, copy and blend."""
    (prob,) = network.outputs
    scaled = ops.multiply(prob.get_node().input_value(0), ops.constant(np.float32(LEVELS)))
    levels = ops.convert(ops.round(scaled, "half_to_even"), "u8")
    return _in_blocks(openvino.Model([levels], network.get_parameters()))


def _in_blocks(network: openvino.Model) -> openvino.Model:
    """Let a last convolution of one channel make the 16 pixels of a block as 16 channels at once.

    A vector holds 16 channels, of which 15 would idle: in int8 such a layer takes as long as one
    of 16. So its kernel of 3 px a side moves by 4 px, as 16 kernels of 6 px that hold it in 16
    places; what comes is sorted at the end. Each sum is of the same products.
    """
    (result,) = network.get_results()
    last = result.input_value(0).get_node()
    while last.get_type_name() in _PIXEL_BY_PIXEL:
        last = last.input_value(0).get_node()
    kernel = _constant(last.input_value(1)) if _of_one_channel(last) else None
    if kernel is None:
        return network
    kernel.output(0).replace(ops.constant(_in_places(kernel.data)).output(0))
    told = last.get_attributes()
    pads = told["pads_begin"], told["pads_end"]
    blocks = ops.convolution(
        last.input_value(0), last.input_value(1), [_BLOCK_PX] * 2, *pads, dilations=[1, 1]
    )
    last.output(0).replace(blocks.output(0))
    network.validate_nodes_and_infer_types()
    sorted_out = ops.depth_to_space(result.input_value(0), "blocks_first", _BLOCK_PX)
    return openvino.Model([sorted_out], network.get_parameters())


def _of_one_channel(node: openvino.Node) -> bool:
    """A convolution of 3 x 3 px that keeps the size of its image and gives one channel."""
    if node.get_type_name() != "Convolution" or list(node.get_input_shape(1)[2:]) != [3, 3]:
        return False
    told = node.get_attributes()
    steps = [*told["strides"], *told["dilations"], *told["pads_begin"], *told["pads_end"]]
    return node.get_output_shape(0)[1] == 1 and set(steps) == {1}


def _constant(value: openvino.Output) -> openvino.Node | None:
    """The weights that a scale, or nothing, makes into ``value``: where they are 0, it is."""
    node = value.get_node()
    while node.get_type_name() in ("Convert", "Multiply", "Subtract"):
        if node.get_type_name() == "Subtract" and not _is_zero(node.input_value(1)):
            return None
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "Constant" else None


def _is_zero(value: openvino.Output) -> bool:
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return node.get_type_name() == "Constant" and not np.any(node.data)


def _in_places(kernel: NDArray[Any]) -> NDArray[Any]:
    """One kernel (1, C, h, w) in each place of a block: (16, C, h + 3, w + 3), zeros around."""
    _, channels, height, width = kernel.shape
    rim = _BLOCK_PX - 1
    shape = (_BLOCK_PX, _BLOCK_PX, channels, height + rim, width + rim)
    places = np.zeros(shape, kernel.dtype)
    for row, col in np.ndindex(_BLOCK_PX, _BLOCK_PX):
        places[row, col, :, row : row + height, col : col + width] = kernel[0]
    return places.reshape(-1, *shape[2:])


def _drop_mirrors(fixed: openvino.Model) -> None:
    """Take out the gathers that continue an image by mirrors to a size that it has already.

    They cost a sixth of the time of a small network and, on a CPU that computes in bf16, round the
    normalised image. Which ones do nothing is seen in a folded copy: the network itself must keep
    its quantised weights unfolded.
    """
    folded = fixed.clone()
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(folded)
    idle = {node.get_friendly_name() for node in folded.get_ordered_ops() if _does_nothing(node)}
    for node in fixed.get_ordered_ops():
        if node.get_friendly_name() in idle:
            node.output(0).replace(node.input_value(0))
    fixed.validate_nodes_and_infer_types()


def _does_nothing(node: openvino.Node) -> bool:
    """A gather of all rows in their order."""
    if node.get_type_name() != "GatherND":
        return False
    index = node.input_value(1).get_node()
    if index.get_type_name() != "Constant":
        return False
    return np.array_equal(index.data.ravel(), np.arange(node.get_input_shape(0)[0]))
