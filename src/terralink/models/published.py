"""The authors' checkpoints: their state dicts, under our names.

``load_state_dict(state, name)`` makes the network ``name`` and fills it. It serves D-LinkNet's
repository (dlinknet34, dlinknet50, dlinknet101, linknet34, unet7, dunet) and PP-LinkNet's
(pplinknet34_psp, pplinknet34_psp64). Their input is ``normalised.DLINKNET``.
"""

import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from terralink.errors import ModelError, unknown
from terralink.models.network import Network
from terralink.models.registry import create_model

NAMES = (
    "dlinknet34",
    "dlinknet50",
    "dlinknet101",
    "linknet34",
    "unet7",
    "dunet",
    "pplinknet34_psp",
    "pplinknet34_psp64",
)

Rule = tuple[str, str | Callable[[re.Match[str]], str]]

# The part of a key that a pattern meets, and what stands there in ours.
_RULES: tuple[Rule, ...] = (
    # ResNet encoder
    (r"^first(conv|bn)\.", r"encoder.pyramid.\g<1>1."),
    (r"^encoder(\d)\.", r"encoder.pyramid.layer\1."),
    # bridges
    (r"^dblock\.dilate(\d)\.", lambda m: f"bridge.steps.{int(m[1]) - 1}.0."),
    (r"^dblock\.stages\.(\d)\.1\.", r"bridge.narrow.\1."),
    (r"^dblock\.bottleneck\.", "bridge.join."),
    # decoder 4 is the first to run; each has (conv1, norm1), (deconv2, norm2), (conv3, norm3)
    (
        r"^decoder(\d)\.(de)?(conv|norm)(\d)\.",
        lambda m: f"decoder.{4 - int(m[1])}.{int(m[4]) - 1}.{int(m[3] == 'norm')}.",
    ),
    (r"^final(?:de)?conv(\d)\.", lambda m: f"head.{2 * (int(m[1]) - 1)}."),
    # U-Nets
    (r"^down(\d)\.", lambda m: f"stages.{int(m[1]) - 1}."),
    (r"^conv(\d)\.", lambda m: f"stages.{(int(m[1]) - 1) // 2}.{(int(m[1]) - 1) % 2 * 2}."),
    (r"^center\.", "centre."),
    (r"^dilate_center\.dilate(\d)\.", lambda m: f"centre.steps.{int(m[1]) - 1}.0."),
    (r"^trans(\d)\.", lambda m: f"ups.{int(m[1]) - 1}."),
    (r"^up(\d)\.", lambda m: f"merges.{int(m[1]) - 1}."),
    (r"^conv_last\.0\.", "head."),
)


def renamed(key: str) -> str:
    """Our name for the authors'.

    >>> renamed("module.decoder4.deconv2.weight")
    'decoder.0.1.0.weight'
    """
    bare = key.removeprefix("module.")  # behind DataParallel
    for pattern, replacement in _RULES:
        ours, count = re.subn(pattern, replacement, bare)
        if count:
            return ours
    return bare


def load_state_dict(state: Mapping[str, Tensor], name: str) -> Network:
    """The network ``name`` with the weights of the authors' ``state``, in evaluation mode.

    Raises ``ModelError`` when ``name`` was not published, or the weights are of another network:
    it names the first keys of ours that are missing and of theirs that do not fit.
    """
    if name not in NAMES:
        raise ModelError(unknown("published network", name, NAMES))
    given = {renamed(key): (key, value) for key, value in state.items()}
    network = create_model(name, num_classes=_classes(given))
    wanted = network.state_dict()
    # Checkpoints from before PyTorch 0.4.1 do not count batches.
    missing = [key for key in wanted if key not in given and "num_batches_tracked" not in key]
    strange = [
        _told(key, value, wanted.get(ours))
        for ours, (key, value) in given.items()
        if ours not in wanted or value.shape != wanted[ours].shape
    ]
    if missing or strange:
        raise ModelError(
            f"the weights are not of {name!r}: it wants {_first(missing)} that are not there, "
            f"and they hold {_first(strange)} that do not fit"
        )
    network.load_state_dict(wanted | {ours: value for ours, (_, value) in given.items()})
    return network.eval()


def _classes(given: Mapping[str, tuple[str, Tensor]]) -> int:
    """How many classes the last convolution tells apart; 1 where there is none."""
    for last in ("head.4.bias", "head.bias"):
        if last in given:
            return len(given[last][1])
    return 1


def _told(key: str, came: Tensor, wanted: Tensor | None) -> str:
    shape = "x".join(map(str, came.shape))
    return key if wanted is None else f"{key} (of {shape})"


def _first(keys: list[str]) -> str:
    """How many tensors, and the first three by name."""
    more = ", ..." if len(keys) > 3 else ""
    return f"{len(keys)} tensors ({', '.join(keys[:3])}{more})" if keys else "none"


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, without running any code that it may hold.

    Raises ``ModelError`` for a file that is none, and for one with more in it than tensors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files that are refused right after
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"no checkpoint {path}") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it is no plain checkpoint, or it holds code; "
            "ask for the weights alone (a state dict)"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise ModelError(f"{path} is not a checkpoint that can be read") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ModelError(f"{path} holds more than the tensors of a network; give its state dict")
    return state
