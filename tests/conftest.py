"""What tests of every room share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def data_root() -> Path:
    """The folder of real data; the test skips where there is none."""
    told = os.environ.get("TERRALINK_DATA")
    if not told or not Path(told).is_dir():
        pytest.skip("no real data: TERRALINK_DATA is not set")
    return Path(told)


@pytest.fixture
def grey() -> Path:
    """A stand-in model file: road is where a pixel is grey; it sees one pixel at a time."""
    return Path(__file__).parent / "cli" / "grey.onnx"


@pytest.fixture(scope="module")
def shallow_resnets() -> Iterator[None]:
    """ResNet encoders of four narrow blocks in place of the real ones: they train and export fast.

    A module's networks are made and loaded again while this fixture is active.
    """
    timm = pytest.importorskip("timm")
    create = timm.create_model

    def create_shallow(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("resnet"):
            kwargs |= {"layers": (1, 1, 1, 1), "channels": (8, 12, 16, 24)}
        return create(name, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timm, "create_model", create_shallow)
        yield
