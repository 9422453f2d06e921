"""The family's seams: what each bridge and encoder does."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink import models  # noqa: E402
from terralink.models.blocks import DilatedBridge, PoolingBridge, PyramidBridge  # noqa: E402

pytestmark = pytest.mark.torch

# LinkNetB7's table I: the block, and side and channels of what goes in and comes out.
TABLE_I = [
    ("encoder.stem", 384, 192, 3, 64),
    ("encoder.stages.0", 192, 192, 64, 32),
    ("encoder.stages.1", 192, 96, 32, 48),
    ("encoder.stages.2", 96, 48, 48, 80),
    ("encoder.stages.3", 48, 24, 80, 160),
    ("encoder.stages.4", 24, 24, 160, 224),
    ("encoder.stages.5", 24, 12, 224, 384),
    ("encoder.stages.6", 12, 12, 384, 640),
    ("decoder.0", 12, 12, 640, 384),
    ("decoder.1", 12, 24, 384, 224),
    ("decoder.2", 24, 24, 224, 160),
    ("decoder.3", 24, 48, 160, 80),
    ("decoder.4", 48, 96, 80, 48),
    ("decoder.5", 96, 192, 48, 32),
    ("decoder.6", 192, 384, 32, 64),
    ("head", 384, 384, 64, 1),
]


def test_linknetb7_has_every_row_of_its_table() -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def watch(name: str) -> Any:
        def note(_module: Any, came: Any, went: Any) -> None:
            (image,) = came
            seen[name] = (image.shape[-1], went.shape[-1], image.shape[1], went.shape[1])

        return note

    with torch.device("meta"):  # shapes only
        network = models.create_model("linknetb7").eval()
        for name, *_ in TABLE_I:
            network.get_submodule(name).register_forward_hook(watch(name))
        network(torch.empty(1, 3, 384, 384))
    assert seen == {name: tuple(row) for name, *row in TABLE_I}


def touched(bridge: Any, *, cells: int) -> int:
    """How many cells of a row the middle of a bridge's output looks at."""
    features = torch.rand(1, 8, 1, cells, requires_grad=True)
    bridge(features)[..., cells // 2].sum().backward()
    assert features.grad is not None
    return int((features.grad.abs().sum(dim=(0, 1, 2)) > 0).sum())


@pytest.mark.parametrize("dilations", [(1, 2, 4, 8), (1, 2, 4, 8, 16)])
def test_a_dilated_bridge_reaches_as_far_as_it_says(dilations: tuple[int, ...]) -> None:
    bridge = DilatedBridge(8, dilations=dilations)
    for parameter in bridge.parameters():
        torch.nn.init.constant_(parameter, 0.1)  # so that no ReLU hides a cell
    assert touched(bridge, cells=101) == bridge.receptive_field_cells


@pytest.mark.parametrize("bridge", [PoolingBridge(), PyramidBridge(8, widths=(2, 2, 2, 2))])
def test_a_pyramid_reaches_over_the_whole_image(bridge: Any) -> None:
    for parameter in bridge.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    assert touched(bridge, cells=101) == 101


def test_the_pyramid_of_the_text_has_no_parameters() -> None:
    assert list(PoolingBridge().parameters()) == []


def test_at_stride_16_the_bridge_of_a_1024_image_has_64_cells() -> None:
    shapes: list[tuple[int, ...]] = []
    with torch.device("meta"):
        network = models.create_model("pplinknet34_psp64").eval()
        network.get_submodule("bridge").register_forward_hook(
            lambda _module, _came, went: shapes.append(tuple(went.shape))
        )
        assert network(torch.empty(1, 3, 1024, 1024)).shape == (1, 1, 1024, 1024)
    assert shapes == [(1, 512, 64, 64)]
