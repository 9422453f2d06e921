"""What tests of every room share."""

import os
from pathlib import Path

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
