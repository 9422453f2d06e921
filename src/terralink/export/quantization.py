"""Post-training quantisation: weights and activations to 8 bits, as a QDQ ONNX file.

QuantizeLinear and DequantizeLinear stand around each convolution, so OpenVINO and ONNX Runtime
both run it in int8. Normalisation and sigmoid stay in float.

Two settings differ from the defaults of ONNX Runtime:

- Logits are not quantised. A step of theirs would be 0.1, which is 0.025 of probability near 0.5:
  visible where two tiles meet and a logit moves by one step.
- The inputs of transposed convolutions are quantised symmetrically (zero point 0). With any other
  zero point OpenVINO computes a transposed convolution in bf16.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from terralink.atomic_write import write_atomically
from terralink.export.onnx_file import drop_unused_constants, set_metadata
from terralink.model_card import Metadata


def quantize(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    metadata: Metadata,
    chips: Iterable[NDArray[np.uint8]],
) -> None:
    """Write the float model file ``source`` in int8 to ``path``.

    ``chips`` (bands, H, W), H and W multiples of 32, show the range of each activation.
    """
    with write_atomically(path) as part, tempfile.TemporaryDirectory() as folder:
        preprocessed = Path(folder) / "preprocessed.onnx"
        quant_pre_process(source, preprocessed, skip_symbolic_shape=True)
        quantization.quantize_static(
            preprocessed,
            part,
            _CalibrationReader(chips),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_float_nodes(preprocessed),
            extra_options={"TensorQuantOverrides": _symmetric_tensors(preprocessed)},
        )
        model = onnx.load(part)
        _keep_logits_in_float(model)
        set_metadata(model, metadata)
        onnx.save(model, part)


class _CalibrationReader(quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, chips: Iterable[NDArray[np.uint8]]):
        self._chips: Iterator[NDArray[np.uint8]] = iter(chips)

    def get_next(self) -> dict[str, Any] | None:
        chip = next(self._chips, None)
        return None if chip is None else {"image": chip[None].astype(np.float32)}


def _float_nodes(path: Path) -> list[str]:
    """The normalisation (all nodes before the first convolution), and sigmoid or softmax."""
    nodes = list(onnx.load(path).graph.node)
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    last = [node for node in nodes if node.op_type in ("Sigmoid", "Softmax")]
    return [node.name for node in nodes[:first] + last]


def _symmetric_tensors(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Options for signed inputs of transposed convolutions."""
    nodes = onnx.load(path).graph.node
    positive = {name for node in nodes if node.op_type in ("Relu", "Clip") for name in node.output}
    signed = {node.input[0] for node in nodes if node.op_type == "ConvTranspose"} - positive
    options = {"quant_type": quantization.QuantType.QInt8, "symmetric": True}
    return {name: [options] for name in sorted(signed)}


def _keep_logits_in_float(model: onnx.ModelProto) -> None:
    """Remove the quantisation before each sigmoid or softmax."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    for last in [node for node in graph.node if node.op_type in ("Sigmoid", "Softmax")]:
        dequantize = producers.get(last.input[0])
        if dequantize is None or dequantize.op_type != "DequantizeLinear":
            continue
        quantize_node = producers[dequantize.input[0]]
        last.input[0] = quantize_node.input[0]
        graph.node.remove(dequantize)
        graph.node.remove(quantize_node)
    drop_unused_constants(model)
