"""A network with its weights as one ONNX file: pixel values in, probabilities out.

Input ``image`` float32 (N, bands, H, W) of 0 to 255, H and W multiples of 32; output ``prob``
float32 (N, classes, H, W). Normalisation and sigmoid (softmax for several classes) are inside.
The file is what runs: everything that makes it fast on a CPU is done here, nothing when it is
loaded.
"""

import os
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from terralink.atomic_write import write_atomically
from terralink.model_card import Metadata
from terralink.models.antialias import fuse_blur
from terralink.models.network import Network

_OPSET = 18
_MULTIPLE = 32  # heights and widths of images are multiples of it
_BLOCK_PX = 4  # a block of 4 x 4 pixels: 16 channels fill one vector of a CPU
_POINTWISE = ("Sigmoid", "Mul", "Add", "Sub", "QuantizeLinear", "DequantizeLinear")


class Probabilities(nn.Module):
    """Logits to probabilities: a sigmoid for one class, a softmax over several."""

    def __init__(self, network: nn.Module, *, classes: int):
        super().__init__()
        self.network = network
        self.last: nn.Module = nn.Sigmoid() if classes == 1 else nn.Softmax(dim=1)

    def forward(self, image: Tensor) -> Tensor:
        prob: Tensor = self.last(self.network(image))
        return prob


def export_onnx(network: nn.Module, path: str | os.PathLike[str], metadata: Metadata) -> None:
    """Write ``network`` (pixel values -> logits) and ``metadata`` as an ONNX file.

    Batch size, height and width stay free.
    """
    whole = Probabilities(
        _without_padding(fuse_blur(network)), classes=len(metadata.classes)
    ).eval()
    image = torch.zeros(2, len(metadata.bands), 2 * _MULTIPLE, 4 * _MULTIPLE)
    rows, cols = torch.export.Dim("rows", min=1, max=512), torch.export.Dim("cols", min=1, max=512)
    free = {0: torch.export.Dim("batch"), 2: _MULTIPLE * rows, 3: _MULTIPLE * cols}
    with write_atomically(path) as part, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the exporter about its own code
        torch.onnx.export(
            whole,
            (image,),
            part,
            input_names=["image"],
            output_names=["prob"],
            dynamic_shapes={"image": free},
            opset_version=_OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        model = onnx.load(part)
        compute_in_blocks(model)
        set_metadata(model, metadata)
        onnx.save(model, part)


def set_metadata(model: onnx.ModelProto, metadata: Metadata) -> None:
    """Put the metadata into the ONNX model, in place of what it has."""
    del model.metadata_props[:]
    helper.set_model_props(model, metadata.to_props())


def drop_unused_constants(model: onnx.ModelProto) -> None:
    """Remove constants that no node uses."""
    used = {name for node in model.graph.node for name in node.input}
    tensors = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)


def _without_padding(network: nn.Module) -> nn.Module:
    """A copy that does not pad images to its stride, if all multiples of 32 are multiples of it.

    The padding would be exported as operations that change nothing, but take a sixth of the time
    of a small network.
    """
    copy = deepcopy(network)
    for module in copy.modules():
        if isinstance(module, Network) and _MULTIPLE % module.stride == 0:
            module.stride = 1
    return copy


def compute_in_blocks(model: onnx.ModelProto) -> None:
    """Let a last 3 x 3 convolution of one channel compute 4 x 4 pixels as 16 channels.

    CPUs compute 16 channels in one vector, so a convolution of one channel takes as long as one of
    16. The kernel is put into the 16 positions of a larger kernel of 6 x 6 pixels, which moves by 4
    pixels; ``DepthToSpace`` brings the 16 channels back to pixels at the end of the model. Each
    pixel is the sum of the same products as before. Other models stay as they are.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    result = graph.output[0].name
    last = producers.get(result)
    pointwise = []
    while last is not None and last.op_type in _POINTWISE:
        pointwise.append(last)
        last = producers.get(last.input[0])
    weights = _Weights(model, producers)
    if last is None or not _is_one_channel_3x3(last, weights):
        return
    weights.change(last, 1, _place_in_blocks)
    if len(last.input) > 2:
        weights.change(last, 2, _repeat)
    for attribute in last.attribute:
        if attribute.name == "strides":
            attribute.ints[:] = [_BLOCK_PX] * 2
        elif attribute.name == "kernel_shape":
            attribute.ints[:] = [3 + _BLOCK_PX - 1] * 2
    in_blocks = f"{result}_in_blocks"
    end = pointwise[0] if pointwise else last
    end.output[0] = in_blocks
    graph.node.append(
        helper.make_node(
            "DepthToSpace", [in_blocks], [result], "from_blocks", blocksize=_BLOCK_PX, mode="DCR"
        )
    )
    del graph.value_info[:]  # the shapes between convolution and result are others now
    drop_unused_constants(model)


def _is_one_channel_3x3(node: onnx.NodeProto, weights: "_Weights") -> bool:
    """Whether the node is a 3 x 3 convolution to one channel that keeps height and width."""
    if node.op_type != "Conv":
        return False
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    steps = [*attributes.get("strides", ()), *attributes.get("dilations", ())]
    pads = list(attributes.get("pads", ()))
    keeps_size = pads == [1] * 4 and set(steps) <= {1} and attributes.get("group", 1) == 1
    shape = weights.shape(node.input[1])
    return keeps_size and shape is not None and shape[0] == 1 and shape[2:] == (3, 3)


def _place_in_blocks(kernel: NDArray[Any]) -> NDArray[Any]:
    """A kernel (1, C, h, w) at each position of a block: (16, C, h + 3, w + 3), 0 elsewhere."""
    _, channels, height, width = kernel.shape
    rim = _BLOCK_PX - 1
    shape = (_BLOCK_PX, _BLOCK_PX, channels, height + rim, width + rim)
    placed = np.zeros(shape, kernel.dtype)
    for row, col in np.ndindex(_BLOCK_PX, _BLOCK_PX):
        placed[row, col, :, row : row + height, col : col + width] = kernel[0]
    return placed.reshape(-1, *shape[2:])


def _repeat(values: NDArray[Any]) -> NDArray[Any]:
    """A value for each of the 16 channels; the same for the scales of 8-bit weights."""
    return np.repeat(values.reshape(-1), _BLOCK_PX**2)


class _Weights:
    """The constant inputs of nodes, as floats or as 8-bit integers with scale and zero point."""

    def __init__(self, model: onnx.ModelProto, producers: dict[str, onnx.NodeProto]):
        self._graph = model.graph
        self._producers = producers
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of the constant; None where the input is computed."""
        node = self._producers.get(name)
        if node is not None and node.op_type == "DequantizeLinear":
            name = node.input[0]
        tensor = self._tensors.get(name)
        return None if tensor is None else tuple(tensor.dims)

    def change(
        self, node: onnx.NodeProto, index: int, function: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> None:
        """Replace the input ``index`` of the node by ``function`` of it."""
        dequantize = self._producers.get(node.input[index])
        if dequantize is None:
            self._replace(node, index, function)
            return
        self._replace(dequantize, 0, function)
        for parameter in range(1, len(dequantize.input)):
            self._replace(dequantize, parameter, _repeat)
        if not any(each.name == "axis" for each in dequantize.attribute):
            dequantize.attribute.append(helper.make_attribute("axis", 0))
        for each in dequantize.attribute:
            if each.name == "axis":
                each.i = 0

    def _replace(
        self, node: onnx.NodeProto, index: int, function: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> None:
        name = node.input[index]
        values = function(numpy_helper.to_array(self._tensors[name]))
        node.input[index] = f"{name}_in_blocks"
        self._graph.initializer.append(numpy_helper.from_array(values, node.input[index]))
