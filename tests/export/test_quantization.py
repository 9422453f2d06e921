"""What is quantised is what a CPU computes in 8 bits; logits stay as fine as they come."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from terralink import inference  # noqa: E402
from terralink.export.onnx_file import export_onnx  # noqa: E402
from terralink.export.quantization import quantize  # noqa: E402
from terralink.model_card import Metadata  # noqa: E402
from terralink.models.network import NormalizedNetwork  # noqa: E402

pytestmark = pytest.mark.torch
CARD = Metadata(name="tiny")


class Tiny(nn.Module):
    """A signed sum that goes into a transposed convolution, as the Lite networks' heads have it."""

    def __init__(self) -> None:
        super().__init__()
        self.skip = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        skip = self.skip(image)
        logits: Tensor = self.last(torch.relu(self.up(torch.relu(skip) + skip)))
        return 4 * logits


def chips() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (3, 64, 64)).astype(np.uint8) for _ in range(4))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny network in float and in int8."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    export_onnx(NormalizedNetwork(Tiny()).eval(), folder / "float.onnx", CARD)
    quantize(folder / "float.onnx", folder / "int8.onnx", CARD, chips())
    return folder / "float.onnx", folder / "int8.onnx"


def test_what_goes_into_a_transposed_convolution_has_its_zero_in_the_middle(
    files: tuple[Path, Path],
) -> None:
    graph = onnx.load(files[1]).graph
    maker = {name: node for node in graph.node for name in node.output}
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (up,) = (node for node in graph.node if node.op_type == "ConvTranspose")
    zero = held[maker[up.input[0]].input[2]]
    assert zero.dtype == np.int8
    assert int(zero) == 0


def test_logits_are_not_rounded(files: tuple[Path, Path]) -> None:
    graph = onnx.load(files[1]).graph
    maker = {name: node for node in graph.node for name in node.output}
    (last,) = (node for node in graph.node if node.op_type == "Sigmoid")
    assert maker[last.input[0]].op_type not in ("QuantizeLinear", "DequantizeLinear")
    used = {name for node in graph.node for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= used


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_8_bits_say_nearly_what_floats_say_in_openvino_and_onnx_runtime(
    files: tuple[Path, Path],
) -> None:
    images = list(chips())
    exact = onnxruntime.InferenceSession(files[0])
    expected = [exact.run(None, {"image": image[None].astype(np.float32)})[0] for image in images]
    rounded = onnxruntime.InferenceSession(files[1])
    found = [rounded.run(None, {"image": image[None].astype(np.float32)})[0] for image in images]
    streamed = list(inference.load_model(files[1]).predict_float32(images))
    assert np.ptp(expected) > 0.2
    assert np.abs(np.stack(found) - np.stack(expected)).max() < 0.05
    assert np.abs(np.stack(streamed) - np.stack(expected)[:, 0]).max() < 0.05
