"""``terralink demo`` leaves a report and the files it tells of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

GREY = Path(__file__).with_name("grey.onnx")


def test_the_demo_ends_in_a_report(terralink: Callable[..., Any], tmp_path: Path) -> None:
    ended = terralink("demo", "--size", 256, "--model", GREY, "--out", tmp_path, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert {Path(path) for path in told["written"]} == set(tmp_path.iterdir())
    assert f"{told['recall']:.3f}" in (tmp_path / "report.html").read_text()
    with Image.open(tmp_path / "report.jpg") as picture:
        assert picture.width > 2 * picture.height
