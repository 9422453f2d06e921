"""What is imported when: starting is quick, and predicting needs no torch."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import terralink

HEAVY = ("torch", "rasterio", "openvino", "geopandas", "shapely", "numpy", "scipy")


def imported_by(code: str) -> set[str]:
    """Names of the top-level packages that are loaded after ``code`` ran in a new interpreter."""
    report = (
        f"{code}\nimport sys\nprint('LOADED', *{{name.partition('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import terralink",
        "from terralink.cli import main; main(['--help'])",
        "from terralink.cli import main; main(['extract', '--help'])",
    ],
)
def test_starting_up_loads_nothing_heavy(code: str) -> None:
    assert imported_by(code).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "package",
    [
        *("raster", "vector", "graph", "vectorize", "metrics", "synthetic", "inference"),
        *("inference.backends", "pipeline.extract", "pipeline.demo", "evaluate", "report"),
    ],
)
def test_what_predicts_loads_no_torch(package: str) -> None:
    assert "torch" not in imported_by(f"import terralink.{package}")


def test_the_version_of_the_package_is_the_version_of_the_code() -> None:
    assert version("terralink") == terralink.__version__
