"""Post-training quantisation: weights and activations to 8 bits, as a QDQ ONNX file.

QuantizeLinear and DequantizeLinear stand around each convolution, so OpenVINO and ONNX Runtime
both run it in int8. What the normalisation and the sigmoid do stays in float.

Two departures from what ONNX Runtime does by itself:

- Logits are not rounded to 256 steps. Theirs would be a tenth, which near 0.5 is 0.025 of
  probability, a jump wherever a tile's seam moves a logit by one step.
- What goes into a transposed convolution has its zero in the middle. OpenVINO computes one with
  any other zero point in bf16.
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
from terralink.export.onnx import tell
from terralink.model_card import Metadata


def quantize(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    metadata: Metadata,
    chips: Iterable[NDArray[np.uint8]],
) -> None:
    """Write the int8 form of the float file ``source``; ``chips`` (bands, H, W) show the range.

    ``chips`` must have heights and widths that are multiples of 32.
    """
    with write_atomically(path) as part, tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded.onnx"
        quant_pre_process(source, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            part,
            _Calibration(chips),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_exclude=_in_float(folded),
            extra_options={"TensorQuantOverrides": _around_zero(folded)},
        )
        _keep_logits_fine(part)
        tell(part, metadata)


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]  # untyped
    def __init__(self, chips: Iterable[NDArray[np.uint8]]):
        self._chips: Iterator[NDArray[np.uint8]] = iter(chips)

    def get_next(self) -> dict[str, Any] | None:
        chip = next(self._chips, None)
        return None if chip is None else {"image": chip[None].astype(np.float32)}


def _in_float(path: Path) -> list[str]:
    """The normalisation (all before the first convolution) and what makes probabilities."""
    nodes = list(onnx.load(path).graph.node)
    first = next(i for i, node in enumerate(nodes) if node.op_type == "Conv")
    last = [node for node in nodes if node.op_type in ("Sigmoid", "Softmax")]
    return [node.name for node in nodes[:first] + last]


def _around_zero(path: Path) -> dict[str, list[dict[str, Any]]]:
    """How signed values that go into transposed convolutions are to be quantised."""
    nodes = onnx.load(path).graph.node
    positive = {name for node in nodes if node.op_type in ("Relu", "Clip") for name in node.output}
    signed = {node.input[0] for node in nodes if node.op_type == "ConvTranspose"} - positive
    way = {"quant_type": quantization.QuantType.QInt8, "symmetric": True}
    return {name: [way] for name in sorted(signed)}


def _keep_logits_fine(path: Path) -> None:
    """Take out the rounding before each sigmoid or softmax."""
    model = onnx.load(path)
    maker = {name: node for node in model.graph.node for name in node.output}
    for last in [node for node in model.graph.node if node.op_type in ("Sigmoid", "Softmax")]:
        back = maker.get(last.input[0])
        if back is None or back.op_type != "DequantizeLinear":
            continue
        rounding = maker[back.input[0]]
        last.input[0] = rounding.input[0]
        model.graph.node.remove(back)
        model.graph.node.remove(rounding)
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, path)
