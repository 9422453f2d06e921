"""Depthwise layers of training against torch's own, in the layer's precision."""

import copy

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from terralink.models.antialias import add_blur  # noqa: E402
from terralink.train import depthwise  # noqa: E402

pytestmark = pytest.mark.torch


def _layer(*, taps: int, stride: int, padding: int) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(16, 16, taps, stride=stride, padding=padding, groups=16, bias=False)


def _gradients(layer: nn.Module, image: Tensor, slope: Tensor) -> list[Tensor]:
    image = image.clone().requires_grad_()
    (layer(image) * slope).sum().backward()
    found = [image.grad, *(each.grad for each in layer.parameters())]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("taps", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("size", [(17, 22), (8, 8)])
def test_gradients_are_those_of_fp32_within_bf16(
    taps: int, stride: int, smooth: bool, size: tuple[int, int]
) -> None:
    plain = _layer(taps=taps, stride=stride, padding=taps // 2)
    if smooth:
        add_blur(nn.Sequential(plain))
    fast = copy.deepcopy(plain)
    depthwise.speed_up_depthwise(nn.Sequential(fast))
    image = torch.randn(2, 16, *size).contiguous(memory_format=torch.channels_last)
    slope = torch.randn_like(plain(image))
    wanted = _gradients(plain, image, slope)
    with torch.autocast("cpu", torch.bfloat16):
        found = _gradients(fast, image, slope)
    for by_hand, ours in zip(wanted, found, strict=True):
        assert ours.dtype == torch.float32
        assert float((ours - by_hand).norm() / by_hand.norm()) < 0.01


def test_in_fp32_a_layer_is_torchs_own_to_the_bit() -> None:
    plain = _layer(taps=5, stride=2, padding=2)
    fast = copy.deepcopy(plain)
    depthwise.speed_up_depthwise(nn.Sequential(fast))
    image = torch.randn(1, 16, 12, 12)
    slope = torch.randn_like(plain(image))
    for wanted, found in zip(
        _gradients(plain, image, slope), _gradients(fast, image, slope), strict=True
    ):
        assert torch.equal(wanted, found)


def test_other_convolutions_and_the_names_of_weights_stay() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 8, 3, groups=8, dilation=2),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
    )
    names = list(network.state_dict())
    depthwise.speed_up_depthwise(network)
    assert [type(layer) is nn.Conv2d for layer in network] == [True, True, False]
    assert list(network.state_dict()) == names
