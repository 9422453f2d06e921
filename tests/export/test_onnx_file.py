"""The exported file computes what the network computes, in blocks of pixels where that fits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
import onnx  # noqa: E402
import onnxruntime  # noqa: E402
from torch import nn  # noqa: E402

from terralink import models  # noqa: E402
from terralink.export.onnx_file import export_onnx  # noqa: E402
from terralink.export.quantization import quantize  # noqa: E402
from terralink.model_card import Metadata  # noqa: E402
from terralink.models.network import NormalizedNetwork  # noqa: E402

pytestmark = pytest.mark.torch


def run(path: Path, image: NDArray[np.float32]) -> NDArray[np.float32]:
    (prob,) = onnxruntime.InferenceSession(path).run(None, {"image": image})
    result: NDArray[np.float32] = prob
    return result


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("classes", "side"), [(1, 3), (2, 3), (1, 1)], ids=["blocks", "two classes", "one pixel"]
)
def test_the_last_layer_computes_blocks_only_where_that_fits(
    classes: int, side: int, bias: bool, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, classes, side, padding=side // 2, bias=bias).eval()
    names = tuple("ab"[:classes])
    export_onnx(conv, tmp_path / "x.onnx", Metadata(name="x", classes=names))
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = conv(image).sigmoid() if classes == 1 else conv(image).softmax(1)
    assert ("DepthToSpace" in kinds(tmp_path / "x.onnx")) == (classes == 1 and side == 3)
    onnx.checker.check_model(onnx.load(tmp_path / "x.onnx"), full_check=True)
    assert run(tmp_path / "x.onnx", image.numpy()) == pytest.approx(expected.numpy(), abs=1e-6)


@pytest.mark.parametrize(("name", "pads"), [("linknet_lite0", False), ("unet7", True)])
def test_images_are_padded_only_for_strides_above_32(name: str, pads: bool, tmp_path: Path) -> None:
    arguments = {"width": 2} if name == "unet7" else {}
    network = models.create_model(name, **arguments).eval()
    export_onnx(NormalizedNetwork(network).eval(), tmp_path / "x.onnx", Metadata(name=name))
    assert ("GatherND" in kinds(tmp_path / "x.onnx")) == pads
    assert network.stride == (128 if pads else 32)  # the network itself is as before


def chips() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return (rng.integers(0, 256, (3, 64, 64)).astype(np.uint8) for _ in range(4))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_blocks_stay_in_8_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    card = Metadata(name="x")
    export_onnx(NormalizedNetwork(network).eval(), tmp_path / "float.onnx", card)
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", card, chips())
    graph = onnx.load(tmp_path / "int8.onnx").graph
    assert graph.node[-1].op_type == "DepthToSpace"
    last = [node for node in graph.node if node.op_type == "Conv"][-1]
    makers = {name: node for node in graph.node for name in node.output}
    assert {makers[name].op_type for name in last.input} == {"DequantizeLinear"}
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    assert shapes[makers[last.input[1]].input[0]] == (16, 8, 6, 6)
    image = next(chips())[None].astype(np.float32)
    assert (
        np.abs(run(tmp_path / "int8.onnx", image) - run(tmp_path / "float.onnx", image)).max()
        < 0.05
    )
