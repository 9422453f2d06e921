"""What a run keeps when it is killed, diverges, or fills the disk; and runs of two processes."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink.errors import OutputError, TrainingError  # noqa: E402
from terralink.train import Recipe, fit  # noqa: E402
from terralink.train.artifacts import AtomicCheckpointIO  # noqa: E402
from terralink.train.datamodule import TrainDataset  # noqa: E402

pytestmark = pytest.mark.torch

SMALL = """
name: small
about: Epochs of three steps on drawn towns.
model: {name: linknet_lite0}
train: [{source: {kind: towns, count: 4, side_px: 64}}]
val: {towns: {kind: towns, count: 1, side_px: 64, seed: 9}}
augment: {crop_px: 64}
loss: bce
trainer:
  {steps: 9, batch_size: 2, steps_per_epoch: 3, workers: 0, precision: 32-true, freeze_norms: true}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(SMALL)
    subprocess.run(command(folder / "small.yaml", folder / "run"), check=True, capture_output=True)
    return folder / "run"


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    terralink = str(Path(sys.executable).with_name("terralink"))
    return [terralink, "train", str(recipe), "--data", str(recipe.parent), "--out", str(out), *more]


def losses(out: Path) -> dict[int, float]:
    """The mean loss of each epoch, over all starts of a run."""
    found = {}
    for path in sorted(out.glob("log/version_*/metrics.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            if row.get("loss_epoch"):
                found[int(row["epoch"])] = float(row["loss_epoch"])
    return found


def test_killed_in_an_epoch_and_resumed_a_run_ends_as_one_that_never_stopped(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    run = subprocess.Popen(command(recipe, killed), stderr=subprocess.DEVNULL)
    while not (killed / "last.ckpt").exists():  # the first epoch is over
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert not (killed / "scores.json").exists()
    subprocess.run(command(recipe, killed, "--resume"), check=True, capture_output=True)
    assert losses(killed)[2] == pytest.approx(losses(whole)[2], rel=1e-5)
    scores = [json.loads((out / "scores.json").read_text()) for out in (killed, whole)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_two_processes_learn_as_one_does(recipe: Path, whole: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    done = subprocess.run(
        command(recipe, two, "--devices", "2", "--json"), check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["recipe"] == "small"  # the first process alone speaks
    assert len(losses(whole)) == 3
    assert losses(two) == pytest.approx(losses(whole), rel=1e-4)


def test_two_hosts_learn_as_one_does(recipe: Path, whole: Path, tmp_path: Path) -> None:
    two = tmp_path / "two"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    hosts = [
        subprocess.Popen(
            command(recipe, two, "--hosts", "2"),
            env={**os.environ, **where, "NODE_RANK": str(rank)},
            stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    assert [host.wait() for host in hosts] == [0, 0]
    assert losses(two) == pytest.approx(losses(whole), rel=1e-4)


def test_a_loss_that_is_no_number_names_the_chips_and_keeps_the_last_good_checkpoint(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = TrainDataset.__getitem__

    def excluded(samples: TrainDataset, index: int) -> dict[str, Any]:
        sample = drawn(samples, index)
        return sample if index < 8 else {**sample, "image": sample["image"] * torch.nan}

    monkeypatch.setattr(TrainDataset, "__getitem__", excluded)
    with pytest.raises(TrainingError, match=r"nan at step 4, at the chips town of seed \d"):
        fit(Recipe.from_file(recipe), tmp_path, tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 3
    assert all(torch.isfinite(value).all() for value in kept["state_dict"].values())


def test_weights_that_are_no_numbers_do_not_replace_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2)}}, path)
    with pytest.raises(TrainingError, match="1 weights are not finite, such as w"):
        AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2) / 0}}, path)
    assert torch.load(path, weights_only=True)["state_dict"]["w"].tolist() == [1, 1]


def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2)}}, path)
    opened = Path.open
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda _path, mode: opened(Path("/dev/full"), mode))
        with pytest.raises(OutputError, match="the disk is full"):
            AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.zeros(99999)}}, path)
    assert torch.load(path, weights_only=True)["state_dict"]["w"].tolist() == [1, 1]
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]
