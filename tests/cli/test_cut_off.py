"""A PNG that was cut off is refused by each verb that reads scenes, in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

GREY = Path(__file__).with_name("grey.onnx")
Run = Callable[..., Any]

VERBS: dict[str, list[object]] = {
    "extract": ["extract", "{png}", "--model", GREY, "--out", "{out}"],
    "predict": ["predict", "{png}", "--model", GREY, "--out", "{out}.tif"],
    "vectorize": ["vectorize", "{png}", "--out", "{out}.gpkg"],
    "rasterize": ["rasterize", "{osm}", "--like", "{png}", "--out", "{out}.tif"],
    "evaluate": ["evaluate", "pixels", "{png}", "{png}"],
    "chip": ["chip", "{png}", "--out", "{out}"],
}
FILES = {"png": "scene.png", "osm": "map.osm", "out": "made"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_png_that_is_cut_off_is_told(
    verb: str, terralink: Run, crossing: NDArray[np.uint8], tmp_path: Path
) -> None:
    names = {name: tmp_path / file for name, file in FILES.items()}
    Image.fromarray(crossing.transpose(1, 2, 0)).save(names["png"])
    names["png"].write_bytes(names["png"].read_bytes()[:-400])
    names["osm"].write_text(
        '<osm version="0.6"><node id="1" lon="0" lat="0"/><node id="2" lon="1" lat="0"/>'
        '<way id="1"><nd ref="1"/><nd ref="2"/><tag k="highway" v="residential"/></way></osm>'
    )
    ended = terralink(*(str(part).format(**names) for part in VERBS[verb]))
    assert ended.code == 2
    assert "scene.png has no end: it was cut off" in ended.err
    assert ended.err.count("\n") == 1
