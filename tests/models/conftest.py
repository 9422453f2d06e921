"""Every network at a small size: the same code with fewer layers and channels."""

from collections.abc import Callable
from typing import Any

import pytest

WIDTHS = {"unet4": 4, "unet7": 2, "dunet": 4, "ternausnetv2": 4}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``create_model`` whose encoders are shallow and narrow, and whose U-Nets are narrow."""
    timm = pytest.importorskip("timm")
    from terralink import models

    full = timm.create_model

    def shallow(name: str, *_: object, **arguments: Any) -> Any:
        if name.startswith("resnet"):
            arguments |= {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}
        return full({"efficientnet_b7": "efficientnet_b0"}.get(name, name), **arguments)

    def make(name: str, **arguments: Any) -> Any:
        if name in WIDTHS:
            arguments["width"] = WIDTHS[name]
        return models.create_model(name, **arguments)

    monkeypatch.setattr(timm, "create_model", shallow)
    return make
