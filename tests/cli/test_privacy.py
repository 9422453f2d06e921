"""Nothing leaves the machine, whatever verb runs: no connection, no id in the home folder."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from terralink import cli

GREY = Path(__file__).with_name("grey.onnx")

# Runs a verb and writes what it did to the outside, a line for each event, to the first argument.
PROBE = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
WATCHED = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "os.fork",
           "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
def hook(event, arguments):
    if event in WATCHED:
        log.write(f"{event} {arguments!r}\\n")
sys.addaudithook(hook)
from terralink.cli import main
sys.exit(main(sys.argv[1:]))
"""

ROADS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"highway": "residential"},
            "geometry": {
                "type": "LineString",
                "coordinates": [[-115.889, 36.137], [-115.887, 36.136]],
            },
        }
    ],
}

RECIPE = """
name: tiny
about: two steps on one drawn town
model: {name: linknet_lite0}
train: [{source: {kind: towns, count: 1, side_px: 96}, weight: 1}]
val: {towns: {kind: towns, count: 1, side_px: 96, seed: 9}}
augment: {crop_px: 64}
trainer: {steps: 2, batch_size: 2, steps_per_epoch: 2, workers: 0}
"""


@pytest.fixture
def folder(tmp_path: Path, scene: Callable[..., Path]) -> Path:
    """Small inputs of every kind, and an empty home."""
    for name in ("home", "scratch", "truth"):
        (tmp_path / name).mkdir()
    scene("scene.tif")
    road = np.zeros((1, 400, 400), np.uint8)
    road[:, 196:205] = 255
    scene("prob.tif", image=road)
    (tmp_path / "roads.geojson").write_text(json.dumps(ROADS))
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    Image.new("RGB", (608, 608), "grey").save(tmp_path / "test_1.png")
    (tmp_path / "masks.csv").write_text("id,prediction\n001_0_0,1\n")
    return tmp_path


def run_folder(folder: Path) -> Path:
    """The folder of a run, of random weights."""
    from terralink import models
    from terralink.model_card import Metadata
    from terralink.models.network import save_checkpoint

    card = Metadata(name="random").model_dump(mode="json")
    network = models.create_model("unet4", width=4)  # small, for its export is slow
    save_checkpoint(network, folder / "run", {"network": network.config, "card": card})
    return folder / "run"


def published(folder: Path) -> Path:
    """A checkpoint with the names that D-LinkNet's authors gave their weights."""
    import torch

    path = folder / "log01_dink34.th"
    torch.save({"firstconv.weight": torch.zeros(1)}, path)
    return path


TRAINING = ["--data", ".", "--out", "out"]

# By verb, what to ask of it. A new verb is missing here until it has a line.
ARGUMENTS: Mapping[str, Callable[[Path], list[object]]] = {
    "demo": lambda _: ["--size", 256, "--model", GREY],
    "extract": lambda _: ["scene.tif", "--model", "roads"],
    "predict": lambda _: ["scene.tif", "--model", "roads", "--out", "out.tif"],
    "vectorize": lambda _: ["prob.tif", "--out", "out.gpkg"],
    "evaluate": lambda _: ["roads", "roads.geojson", "roads.geojson", "--report", "out.html"],
    "diff": lambda _: ["roads.geojson", "roads.geojson"],
    "rasterize": lambda _: ["roads.geojson", "--like", "scene.tif"],
    "chip": lambda _: ["scene.tif", "--labels", "roads.geojson", "--side", 64, "--out", "chips"],
    "train": lambda _: ["tiny.yaml", *TRAINING],
    "train-stages": lambda _: ["tiny.yaml", *TRAINING],
    "sweep": lambda _: ["tiny.yaml", *TRAINING],
    "submit": lambda _: ["test_1.png", "--model", GREY],
    "from-submission": lambda _: ["masks.csv"],
    "import": lambda folder: [published(folder), "--as", "dlinknet34", "--out", "out.onnx"],
    "export": lambda folder: [run_folder(folder), "--int8", "--calibrate", chips(folder)],
    "models": lambda _: [],
    "recipes": lambda _: [],
}
# What asks this machine about itself: which libraries and fonts it has, which commit this is.
LOCAL = re.compile(r"subprocess.Popen \('?(/sbin/ldconfig|fc-list|git|uname)'")
NEED_TORCH = {"train", "train-stages", "sweep", "import", "export", "recipes"}
REFUSED = {"import"}  # real weights are too large for a test; all is imported before they are read

VERBS = [
    pytest.param(
        name,
        marks=[pytest.mark.torch, pytest.mark.skipif(not find_spec("torch"), reason="no torch")]
        if name in NEED_TORCH
        else [],
    )
    for name in sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
]


def chips(folder: Path) -> Path:
    (folder / "chips").mkdir()
    Image.effect_noise((64, 64), 64).convert("RGB").save(folder / "chips" / "a.png")
    return folder / "chips"


def watched(
    folder: Path, *arguments: object
) -> tuple["subprocess.CompletedProcess[str]", list[str]]:
    """How a verb ended that ran in ``folder`` with an empty home, and the events outside."""
    events = folder / "scratch" / "events.txt"
    private = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "scratch")}
    mine = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "CI", "DO_NOT_TRACK")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in mine and "TELEMETRY" not in name
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROBE, events, *map(str, arguments)],
        cwd=folder,
        env={**kept, **private},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, events.read_text().splitlines()


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_reaches_out_or_leaves_anything_at_home(verb: str, folder: Path) -> None:
    ended, events = watched(folder, verb, *ARGUMENTS[verb](folder))
    assert ended.returncode == (2 if verb in REFUSED else 0), ended.stderr
    assert [event for event in events if not LOCAL.match(event)] == []
    assert sorted((folder / "home").rglob("*")) == []


def test_processes_of_this_machine_talk_among_themselves(folder: Path) -> None:
    pytest.importorskip("distributed")
    ended, events = watched(folder, "extract", "scene.tif", "--cluster", "local:1")
    assert ended.returncode == 0, ended.stderr
    assert any("127.0.0.1" in event for event in events)
    assert [e for e in events if not LOCAL.match(e) and "127.0.0.1" not in e] == []
    assert sorted((folder / "home").rglob("*")) == []


def test_the_probe_sees_what_it_looks_for(folder: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PROBE.replace("from terralink.cli import main", REPORTER), "log"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    kinds = [event.split()[0] for event in (folder / "log").read_text().splitlines()]
    assert kinds == ["os.fork", "socket.connect"]


# What the reporters of other packages do, to a port where nobody listens.
REPORTER = """
import os, socket
if os.fork() == 0: os._exit(0)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.connect(("127.0.0.1", 9))
main = lambda _: 0
"""


@pytest.mark.parametrize("package", ["openvino", "onnxruntime"])
def test_packages_that_report_to_their_makers_are_silenced(package: str, folder: Path) -> None:
    if not find_spec(package):
        pytest.skip(f"no {package}")
    code = f"import terralink; import {package}"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted((folder / "home").rglob("*")) == []
