"""The folder of a run predicts as it is, and whoever cannot compute it says so."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
from terralink import (  # noqa: E402
    inference,
    models,
    raster,
)
from terralink.cli import main  # noqa: E402
from terralink.errors import InputError, ModelError  # noqa: E402
from terralink.inference.backends import torch_backend  # noqa: E402
from terralink.inference.backends.torch_backend import DeviceConfig, TorchModel  # noqa: E402
from terralink.model_card import Metadata  # noqa: E402
from terralink.models import pretrained  # noqa: E402
from terralink.models.network import NormalizedNetwork, save_checkpoint  # noqa: E402
from terralink.pipeline import cluster, jobs  # noqa: E402

pytestmark = pytest.mark.torch

EXACT, HALF = DeviceConfig("cpu", torch.float32, False), DeviceConfig("cpu", torch.bfloat16, False)


def saved(folder: Path, *, seed: int = 0, card: Mapping[str, Any] | None = None) -> Path:
    """A network of random weights whose probabilities are spread wide."""
    torch.manual_seed(seed)
    network = models.create_model("linknet_lite0")
    with torch.no_grad():
        network.get_parameter("head.4.weight").mul_(30)
    told = card or Metadata(name="random").model_dump(mode="json")
    save_checkpoint(network, folder, {"network": {"name": "linknet_lite0"}, "card": told})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("run"))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(0).integers(0, 256, (3, 3, 8, 8)).astype(np.uint8)
    return coarse.repeat(8, axis=-1).repeat(8, axis=-2)


def test_levels_are_what_the_network_gives(run: Path, images: NDArray[np.uint8]) -> None:
    whole = NormalizedNetwork(pretrained.load(run)[0]).eval()
    with torch.no_grad():
        expected = 255 * torch.sigmoid(whole(torch.tensor(images).float())).numpy()
    assert np.ptp(expected) > 100
    exact, half = (
        np.stack(list(TorchModel(run, config=config).predict_uint8(iter(images))))
        for config in (EXACT, HALF)
    )
    assert exact.dtype == np.uint8
    assert np.abs(exact - expected).max() < 0.51
    assert np.abs(half - expected).max() < 4  # logits have 8 bits


def test_probabilities_come_as_floats(run: Path, images: NDArray[np.uint8]) -> None:
    model = TorchModel(run, config=EXACT)
    for prob, level in zip(model.predict_float32(images), model.predict_uint8(images), strict=True):
        assert prob.dtype == np.float32
        np.testing.assert_array_equal(level, np.rint(prob * 255))
    assert list(model.predict_uint8([])) == []


@pytest.mark.parametrize(
    ("machine", "config", "told"),
    [
        ({}, DeviceConfig("cpu", torch.float32, False), "torch CPU, fp32"),
        ({"cpu_bf16"}, DeviceConfig("cpu", torch.bfloat16, False), "torch CPU, bf16"),
        (
            {"card", "card_bf16", "triton"},
            DeviceConfig("cuda", torch.bfloat16, True),
            "torch CUDA (a card), compiled, bf16",
        ),
        (
            {"card", "cpu_bf16", "triton"},
            DeviceConfig("cuda", torch.float16, True),
            "torch CUDA (a card), compiled, fp16",
        ),
        (
            {"card", "card_bf16"},
            DeviceConfig("cuda", torch.bfloat16, False),
            "torch CUDA (a card), bf16",
        ),
    ],
)
def test_torch_takes_the_best_way_of_the_machine(
    machine: set[str], config: DeviceConfig, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "card" in machine)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda *, including_emulation: including_emulation or "card_bf16" in machine,
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch_backend, "cpu_has_bf16", lambda: "cpu_bf16" in machine)
    monkeypatch.setattr(torch_backend, "find_spec", lambda _name: machine & {"triton"} or None)
    assert DeviceConfig.detect() == config
    assert config.description == told


def test_another_process_loads_the_same(run: Path, grey: Path) -> None:
    both = inference.Ensemble(
        [inference.load_model(run), inference.load_model(grey, provider="onnxruntime")]
    )
    again = cluster.ModelSpec.of(both, threads=1).load()
    assert again.provider == both.provider
    assert again.provider.startswith("torch")


def test_a_job_is_of_these_weights(run: Path, tmp_path: Path) -> None:
    path = scene(tmp_path)
    other = TorchModel(saved(tmp_path / "run", seed=1), config=EXACT)
    with raster.open_scene(path) as opened:
        jobs.open_job(tmp_path / "job", TorchModel(run, config=EXACT), opened)
        with pytest.raises(InputError, match="model sha256"):
            jobs.open_job(tmp_path / "job", other, opened)


def test_the_provider_is_said_in_json_and_in_the_file(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, said = tmp_path / "prob.tif", TorchModel(run).provider
    arguments = ["predict", scene(tmp_path), "--model", run, "--out", out, "--provider", "torch"]
    assert main([str(each) for each in (*arguments, "--json")]) == 0
    assert json.loads(capsys.readouterr().out)["provider"] == said
    assert f'TERRALINK_PROVIDER">{said}<' in out.read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (lambda run, _grey: inference.load_model(run, provider="onnxruntime"), "terralink export"),
        (
            lambda _run, grey: inference.load_model(grey, provider="torch"),
            "openvino and onnxruntime",
        ),
        (lambda run, _grey: inference.load_model(run.parent / "nothing.onnx"), "no model file"),
    ],
)
def test_who_does_not_take_it_says_who_does(
    load: Callable[[Path, Path], object], told: str, run: Path, grey: Path
) -> None:
    with pytest.raises(ModelError, match=told):
        load(run, grey)


def test_without_torch_a_folder_is_told_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "terralink.inference.backends.torch_backend")
    with pytest.raises(ModelError, match=r"pip install 'terralink\[train\]'"):
        inference.load_model(run)


@pytest.mark.parametrize("card", [{"name": "x", "pixel_size_m": -1}, {"name": "two\nlines"}])
def test_a_folder_with_a_hostile_card_is_refused(card: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="metadata"):
        inference.load_model(saved(tmp_path, card=card))


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a checkpoint"):
        inference.load_model(tmp_path)


def scene(folder: Path) -> Path:
    """Noise of 64 px on pixels of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64)).astype(np.uint8)
    grid = raster.Grid(pixels.shape[1:], Affine.identity())
    with raster.RasterWriter(folder / "scene.tif", grid, bands=3) as writer:
        writer.write(0, 0, pixels)
    return folder / "scene.tif"
