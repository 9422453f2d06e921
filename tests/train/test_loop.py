"""A run from a recipe to a model file that predicts."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from terralink import inference  # noqa: E402
from terralink.errors import InputError, ModelError, RecipeError  # noqa: E402
from terralink.export.checkpoint import export_checkpoint  # noqa: E402
from terralink.model_card import Metadata  # noqa: E402
from terralink.models import pretrained  # noqa: E402
from terralink.models.network import NormalizedNetwork  # noqa: E402
from terralink.train import Recipe, fit  # noqa: E402
from terralink.train.artifacts import moving_average  # noqa: E402
from terralink.train.datamodule import TrainDataset  # noqa: E402
from terralink.train.recipe import Shifts  # noqa: E402

pytestmark = pytest.mark.torch

TINY = """
name: tiny
about: Two epochs of two steps on drawn towns.
model: {name: linknet18}
train: [{source: {kind: towns, count: 2, side_px: 96}, weight: 1}]
val: {towns: {kind: towns, count: 1, side_px: 96, seed: 9}}
augment: {crop_px: 64}
trainer: {steps: 4, batch_size: 2, steps_per_epoch: 2, ema_decay: 0.9, workers: 0}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, shallow_resnets: None) -> Recipe:  # noqa: ARG001
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY)
    return Recipe.from_file(path)


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    figures = fit(recipe, out, out)
    assert figures
    assert 0 <= figures["towns/iou"] <= 1
    return out


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Metadata]:
    """The float model file of the run, and the metadata that the export returned."""
    path = tmp_path_factory.mktemp("float") / "tiny.onnx"
    return path, export_checkpoint(run, path)


def test_a_run_leaves_its_recipe_and_a_checkpoint_without_code(recipe: Recipe, run: Path) -> None:
    assert Recipe.from_file(run / "recipe.yaml") == recipe
    network, config = pretrained.load(run)
    assert not network.training
    assert config["metadata"]["name"] == "tiny"


@pytest.mark.parametrize("val_every_epochs", [1, 2])
def test_a_run_that_is_resumed_ends_as_one_that_never_stopped(
    val_every_epochs: int,
    recipe: Recipe,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = recipe.trainer.model_copy(update={"val_every_epochs": val_every_epochs})
    recipe = recipe.model_copy(update={"trainer": trainer})
    assert recipe.trainer.steps_per_epoch
    second_epoch = recipe.trainer.steps_per_epoch * recipe.trainer.batch_size
    drawn = TrainDataset.__getitem__

    def dying(samples: TrainDataset, index: int) -> dict[str, Any]:
        if index >= second_epoch:
            raise OSError("the machine died")
        return drawn(samples, index)

    with monkeypatch.context() as patched:
        patched.setattr(TrainDataset, "__getitem__", dying)
        with pytest.raises(OSError, match="died"):
            fit(recipe, tmp_path, tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    fit(recipe, tmp_path, tmp_path, resume=True)
    resumed, never = (pretrained.load(folder)[0].state_dict() for folder in (tmp_path, run))
    # Sums over threads may come in another order, hence not to the last bit.
    assert all(torch.allclose(resumed[key], never[key], atol=1e-5) for key in never)


def test_a_recipe_with_shifts_learns_from_two_views(recipe: Recipe, tmp_path: Path) -> None:
    trainer = recipe.trainer.model_copy(update={"steps": 2})
    wanted = recipe.model_copy(update={"shifts": Shifts(max_px=8), "trainer": trainer})
    assert fit(wanted, tmp_path, tmp_path)
    (log,) = (tmp_path / "log").glob("*/metrics.csv")
    with log.open() as file:
        apart = [float(row["apart"]) for row in csv.DictReader(file) if row["apart"]]
    assert len(apart) == 1
    assert 0 < apart[0] <= 1


def test_averaged_weights_forget_the_start_and_then_have_the_recipe_s_memory() -> None:
    take_in = moving_average(0.998)
    average = torch.tensor(0.0)
    for count in range(1, 101):
        average = take_in(average, torch.tensor(1.0), count)
        assert average > 1 - 10 / (count + 9)
    assert take_in(torch.tensor(0.0), torch.tensor(1.0), 10**5).item() == pytest.approx(0.002)


def test_a_second_stage_goes_on_from_the_weights_of_the_first(
    recipe: Recipe, run: Path, tmp_path: Path
) -> None:
    trainer = recipe.trainer.model_copy(update={"steps": 1, "ema_decay": 0.0})
    still = recipe.optimizer.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    changes = {"starts_from": "tiny", "trainer": trainer, "optimizer": still}
    second = recipe.model_copy(update=changes)
    with pytest.raises(RecipeError, match="--start"):
        fit(second, tmp_path, tmp_path)
    fit(second, tmp_path, tmp_path, start=run)
    first, went_on = (
        dict(pretrained.load(folder)[0].named_parameters()) for folder in (run, tmp_path)
    )
    assert all(torch.allclose(first[key], went_on[key], atol=1e-6) for key in first)


def test_the_model_file_gives_what_the_network_gives(
    run: Path, exported: tuple[Path, Metadata]
) -> None:
    path, metadata = exported
    image = np.random.default_rng(0).integers(0, 256, (3, 96, 96)).astype(np.uint8)
    model = inference.load_model(path)
    (prob,) = model.predict_float32([image])
    with torch.no_grad():
        logits = NormalizedNetwork(pretrained.load(run)[0]).eval()(
            torch.from_numpy(image)[None].float()
        )
    # bf16 where the CPU has it, hence the wide bound; the float file itself is tested per network.
    expected = torch.sigmoid(logits)[0].numpy()
    assert np.abs(prob - expected).max() < 0.05
    assert model.metadata == metadata
    (level,) = inference.load_model(model.path, provider="onnxruntime").predict_uint8([image])
    assert np.abs(level - 255 * expected).max() < 0.6
    (prob,) = inference.load_model(run).predict_float32([image])
    assert np.abs(prob - expected).max() < 0.05


def weight_bytes(path: Path) -> int:
    import onnx

    return sum(len(each.raw_data) for each in onnx.load(path).graph.initializer)


def test_int8_keeps_close_and_is_small(
    run: Path, exported: tuple[Path, Metadata], tmp_path: Path
) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in "ab":
        pixels = rng.integers(0, 256, (70, 100, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    export_checkpoint(run, tmp_path / "int8.onnx", calibrate=[tmp_path])
    image = rng.integers(0, 256, (3, 64, 64)).astype(np.uint8)
    int8, whole = inference.load_model(tmp_path / "int8.onnx"), inference.load_model(exported[0])
    assert "int8" in int8.provider
    rounded, exact = (next(each.predict_float32([image])) for each in (int8, whole))
    assert np.abs(rounded - exact).mean() < 0.05
    assert weight_bytes(tmp_path / "int8.onnx") < 0.4 * weight_bytes(exported[0])


def test_calibration_without_pictures_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images"):
        export_checkpoint(run, tmp_path / "x.onnx", calibrate=[tmp_path])


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a checkpoint"):
        pretrained.load(tmp_path)


def test_weights_of_another_network_are_told_by_their_first_keys(run: Path, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["network"]["name"] = "linknet_lite0"
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").symlink_to(run / "model.safetensors")
    with pytest.raises(ModelError, match="another network"):
        pretrained.load(tmp_path)
