"""The authors' networks: their names, their numbers, and their checkpoints."""

import json
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
from terralink import models  # noqa: E402
from terralink.cli import main  # noqa: E402
from terralink.errors import ModelError  # noqa: E402
from terralink.models import pretrained  # noqa: E402
from terralink.models.network import (  # noqa: E402
    DLINKNET,
    Normalization,
    NormalizedNetwork,
    save_checkpoint,
)

pytestmark = pytest.mark.torch

REFERENCES = ("dlinknet34", "linknet34", "pplinknet34_psp", "pplinknet34_psp64", "unet7", "dunet")


@pytest.fixture
def reference(data_root: Path) -> Callable[[str], dict[str, Any]]:
    """What a published network gives, as measured with its authors' code."""

    def read(name: str) -> dict[str, Any]:
        path = data_root.parent / "oracles" / "models" / f"{name}.json"
        if not path.exists():
            pytest.skip(f"no {path}")
        told: dict[str, Any] = json.loads(path.read_text())
        return told

    return read


def drawn(key: str, shape: list[int]) -> NDArray[Any]:
    """A tensor of the reference: random, but fixed by its name."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith(("running_mean", "bias")):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return np.asarray(values, np.float32)


@pytest.mark.data
@pytest.mark.parametrize("name", REFERENCES)
def test_the_weights_of_the_authors_give_their_logits(
    name: str, reference: Callable[[str], dict[str, Any]]
) -> None:
    told = reference(name)
    state = {f"module.{key}": torch.from_numpy(drawn(key, shape)) for key, shape in told["keys"]}
    network = pretrained.convert_state_dict(state, name)
    ours = network.state_dict()
    assert {pretrained.rename_key(key): value.shape for key, value in state.items()} == {
        key: value.shape for key, value in ours.items()
    }
    assert sum(p.numel() for p in network.parameters()) == told["num_parameters"]
    image = np.random.default_rng(0).random(told["input_shape"], np.float32) * 3.2 - 1.6
    with torch.no_grad():
        logits = network(torch.from_numpy(image.astype(np.float32)))[0, 0].numpy()
    off = np.abs(logits[told["rows"], told["cols"]] - told["values"]).max()
    assert off <= 1e-4 * told["output_std"]


def authors_keys(depth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a D-LinkNet of ``depth`` layers, from torchvision's ResNet."""
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        resnet = getattr(torchvision.models, f"resnet{depth}")()
    keys = {
        _of_encoder(key): tuple(value.shape)
        for key, value in resnet.state_dict().items()
        if not key.startswith("fc.")
    }
    wide = 2048
    for step in range(1, 6):
        keys |= _conv(f"dblock.dilate{step}", wide, wide, 3)
    for number, (came, goes) in enumerate(
        [(256, 256), (512, 256), (1024, 512), (2048, 1024)], start=1
    ):
        block, middle = f"decoder{number}", came // 4
        keys |= _conv(f"{block}.conv1", middle, came, 1) | _norm(f"{block}.norm1", middle)
        keys |= _conv(f"{block}.deconv2", middle, middle, 3) | _norm(f"{block}.norm2", middle)
        keys |= _conv(f"{block}.conv3", goes, middle, 1) | _norm(f"{block}.norm3", goes)
    return {
        **keys,
        "finaldeconv1.weight": (256, 32, 4, 4),
        "finaldeconv1.bias": (32,),
        **_conv("finalconv2", 32, 32, 3),
        **_conv("finalconv3", 1, 32, 3),
    }


def _of_encoder(key: str) -> str:
    if key.startswith("layer"):
        return key.replace("layer", "encoder", 1)
    return "first" + key.replace("1.", ".", 1)


def _conv(name: str, out: int, came: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, came, kernel, kernel), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    ends = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{end}": (width,) for end in ends} | {f"{name}.num_batches_tracked": ()}


@pytest.mark.parametrize(("depth", "count"), [(50, 217_645_089), (101, 236_637_217)])
def test_the_deeper_networks_take_their_checkpoints_too(depth: int, count: int) -> None:
    with torch.device("meta"):  # shapes only: their files have 830 and 903 MiB
        state = {key: torch.empty(shape) for key, shape in authors_keys(depth).items()}
        network = pretrained.convert_state_dict(state, f"dlinknet{depth}")
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert {pretrained.rename_key(key) for key in state} == set(network.state_dict())


@pytest.mark.parametrize(("name", "count"), [("dlinknet34", 31_096_129), ("dunet", 19_201_025)])
def test_a_network_has_the_published_number_of_parameters(name: str, count: int) -> None:
    with torch.device("meta"):
        network = models.create_model(name)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def theirs(network: Any) -> dict[str, Any]:
    """The weights of a small U-Net under the authors' names, behind DataParallel."""
    number = {f"stages.{n}": f"down{n + 1}" for n in range(7)}
    number |= {f"ups.{n}": f"trans{n + 1}" for n in range(7)}
    number |= {f"merges.{n}": f"up{n + 1}" for n in range(7)}
    number |= {"centre": "center", "head": "conv_last.0"}
    state = {}
    for key, value in network.state_dict().items():
        ours = next(prefix for prefix in number if key.startswith(prefix))
        state[f"module.{number[ours]}{key.removeprefix(ours)}"] = value
    return state


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Any) -> Path:
    """A file as the authors' code of that time wrote it, of a narrow U-Net."""
    monkeypatch.setattr(pretrained, "create_model", small)
    path = tmp_path / "log_unet.th"
    torch.manual_seed(0)
    torch.save(theirs(small("unet7")), path, _use_new_zipfile_serialization=False)
    return path


def test_an_imported_folder_takes_rgb_levels(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "imported"
    code = main(["import", str(checkpoint), "--as", "unet7", "--out", str(out)])
    assert code == 0, capsys.readouterr().err
    config = json.loads((out / "config.json").read_text())
    assert Normalization.of(config) == DLINKNET
    assert config["metadata"]["name"] == "log_unet"
    # What the authors' code does by hand: BGR, x / 255 * 3.2 - 1.6.
    rgb = torch.randint(0, 256, (1, 3, 128, 128)).float()
    network = pretrained.convert_state_dict(pretrained.read_checkpoint(checkpoint), "unet7")
    with torch.no_grad():
        by_hand = network(rgb[:, [2, 1, 0]] / 255 * 3.2 - 1.6)
        came = NormalizedNetwork(network, normalization=Normalization.of(config)).eval()(rgb)
    torch.testing.assert_close(came, by_hand, rtol=1e-4, atol=1e-5)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of an import that cannot be."""
    assert main(["import", *map(str, arguments)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("terralink: ")
    assert line.count("\n") == 1
    return line


def test_a_checkpoint_of_another_network_names_the_keys(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.onnx"
    line = refused(capsys, checkpoint, "--as", "dunet", "--out", out)
    assert "not of 'dunet'" in line
    assert "centre.steps.0.0.weight" in line
    assert "module.down1.0.weight (of 2x3x3x3)" in line
    assert not out.exists()


class Code:
    def __reduce__(self) -> Any:
        return os.getcwd, ()


def test_a_pickle_with_code_in_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_torch, by_pickle = tmp_path / "torch.th", tmp_path / "pickle.th"
    torch.save({"firstconv.weight": Code()}, by_torch)
    by_pickle.write_bytes(pickle.dumps(Code()))
    for path in (by_torch, by_pickle):
        assert "code" in refused(capsys, path, "--as", "dlinknet34", "--out", tmp_path / "out")


def test_what_is_no_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, out = tmp_path / "notes.th", tmp_path / "out"
    text.write_text("hello")
    assert str(text) in refused(capsys, text, "--as", "dlinknet34", "--out", out)
    assert "no checkpoint" in refused(capsys, tmp_path / "no.th", "--as", "dunet", "--out", out)


def test_a_network_that_was_not_published_is_told_the_nearest(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, checkpoint, "--as", "dlinket34", "--out", tmp_path / "out")
    assert "did you mean 'dlinknet34'" in line


def test_a_folder_with_weights_of_another_network_names_the_keys(
    tmp_path: Path, small: Any
) -> None:
    small("dunet").save_pretrained(tmp_path)
    config = {"network": {"name": "unet7", "width": 2}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"another network: .*centre"):
        pretrained.load(tmp_path)


def test_a_network_that_lies_channels_last_is_saved(small: Any, tmp_path: Path) -> None:
    network = small("dlinknet34").to(memory_format=torch.channels_last)
    network.save_pretrained(tmp_path)
    again = models.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())


def test_what_is_neither_a_folder_nor_on_the_hub_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = pytest.importorskip("huggingface_hub")

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr(hub, "snapshot_download", unreachable)
    with pytest.raises(ModelError, match="is no folder, and"):
        models.from_pretrained("someone/roads")


def test_a_config_of_version_01_is_read_under_its_old_keys(small: Any, tmp_path: Path) -> None:
    network = small("linknet_lite0")
    old = {"network": dict(network.config), "levels": DLINKNET.as_config(), "card": {"name": "x"}}
    save_checkpoint(network, tmp_path, old)
    config = pretrained.load(tmp_path)[1]
    assert Normalization.of(config) == Normalization.of(old) == DLINKNET
    assert config["metadata"] == {"name": "x"}
