"""Convolutions that blur before they drop pixels, and after they spread them."""

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from terralink import models  # noqa: E402
from terralink.models.antialias import add_blur, blur_kernel, fuse_blur  # noqa: E402

pytestmark = pytest.mark.torch


def _blur(image: Tensor) -> Tensor:
    """The binomial blur of each channel, one pixel larger on each side."""
    kernel = blur_kernel(torch.ones(1, 1)).expand(image.shape[1], 1, 3, 3)
    return F.conv2d(image, kernel, padding=2, groups=image.shape[1])


@pytest.mark.parametrize("taps", [1, 3, 4, 5])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_strided_convolution_is_that_of_the_blurred_image(taps: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, taps, stride=2, padding=taps // 2, groups=groups)
    image = torch.randn(2, 4, 21, 16)
    height, width = layer(image).shape[2:]
    # The blurred image is a pixel larger on each side: its second pixel is the first of the image.
    whole = F.conv2d(F.pad(_blur(image), (taps // 2,) * 4), layer.weight, layer.bias, groups=groups)
    add_blur(nn.Sequential(layer))
    assert layer(image).shape == (2, 8, height, width)
    assert torch.allclose(layer(image), whole[..., 1::2, 1::2][..., :height, :width], atol=1e-5)


@pytest.mark.parametrize("taps", [2, 3, 4])
def test_a_transposed_convolution_is_blurred(taps: int) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 3, taps, stride=2, padding=0, bias=False)
    image = torch.randn(1, 4, 9, 6)
    expected = _blur(layer(image))[..., 1:-1, 1:-1]
    size = layer(image).shape
    add_blur(nn.Sequential(layer))
    assert layer(image).shape == size
    assert torch.allclose(layer(image), expected, atol=1e-5)


def test_weights_keep_names_and_shapes_and_a_fused_copy_gives_the_same() -> None:
    plain = models.create_model("linknet_lite0").eval()
    ours = models.create_model("linknet_lite0_antialiased").eval()
    ours.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 96, 64) * 4 - 2
    with torch.no_grad():
        found, wide = ours(image), fuse_blur(ours)
        assert torch.allclose(wide(image), found, atol=1e-5)
        assert not torch.allclose(plain(image), found, atol=1e-3)
    kinds = {type(module) for module in wide.modules()}
    assert not any("Blurred" in kind.__name__ for kind in kinds)
    assert {name for name, _ in wide.named_parameters()} == {
        name for name, _ in plain.named_parameters()
    }


def test_what_has_no_stride_of_two_stays() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=3), nn.ReLU())
    kinds = [type(layer) for layer in layers]
    add_blur(layers)
    assert [type(layer) for layer in layers] == kinds


@pytest.mark.parametrize("shift", [1, 3, 5])
def test_features_of_a_moved_image_are_moved_features(shift: int) -> None:
    """Of noise, the finest there is: the energy that differs is a third of what it was or less."""
    torch.manual_seed(0)
    image = torch.randn(1, 1, 96, 96)

    def differing(layer: nn.Module) -> float:
        # Fine again, so that both can be compared pixel by pixel.
        still, moved = (
            F.interpolate(layer(each), scale_factor=2, mode="bilinear")
            for each in (image, image.roll(shift, -1))
        )
        apart = (still.roll(shift, -1) - moved)[..., 16:-16, 16:-16]
        return float(apart.square().mean() / still.square().mean())

    layer = nn.Conv2d(1, 1, 1, stride=2, bias=False).requires_grad_(False)
    before = differing(layer)
    add_blur(nn.Sequential(layer))
    assert differing(layer) < before / 3
