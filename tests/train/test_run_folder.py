"""What is in a run folder stays, a start that fails leaves nothing, mistakes are found first."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

torch = pytest.importorskip("torch")
from terralink.errors import InputError, OutputError, RecipeError, TerralinkError  # noqa: E402
from terralink.models import pretrained  # noqa: E402
from terralink.train import Recipe, artifacts, fit, loop, read_scores, sweep  # noqa: E402
from terralink.train.datamodule import TrainDataset  # noqa: E402
from terralink.train.loop import save_model  # noqa: E402
from terralink.train.task import SegmentationTask  # noqa: E402

pytestmark = pytest.mark.torch

Write = Callable[..., Recipe]
TINY = """
name: tiny
about: A step on drawn towns.
model: {name: linknet_lite0}
train: [{source: {kind: towns, count: 1, side_px: 96}}]
val: {towns: {kind: towns, count: 1, side_px: 96, seed: 9}}
augment: {crop_px: 64}
trainer: {steps: 1, batch_size: 2, workers: 0, precision: 32-true}
"""


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny(recipe_file: Path) -> Write:
    return lambda **changes: Recipe.from_file(
        recipe_file, {key.replace("__", "."): value for key, value in changes.items()}
    )


@pytest.fixture(scope="module")
def run(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert fit(Recipe.from_file(recipe_file), out, out)
    return out


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_finished_run_that_is_resumed_is_not_touched(run: Path, tiny: Write) -> None:
    before = contents(run)
    scores = fit(tiny(), Path("nowhere"), run, resume=True)
    assert scores == read_scores(run)
    assert fit(tiny(trainer__workers="3"), Path("nowhere"), run, resume=True) == scores
    assert contents(run) == before


@pytest.mark.parametrize(
    ("changes", "resume", "told"),
    [
        ({}, False, "came to its end: --resume shows its scores"),
        ({"name": "other"}, False, "choose another --out"),
        ({"name": "other"}, True, r"another recipe \(name differ\)"),
        ({"trainer__steps": "2"}, True, r"trainer\.steps"),
        ({"model__name": "linknet18", "loss": "dice", "tta": "true", "rescale": "false"}, True,
         "model.name, rescale, loss.0.name and more"),
    ],
)  # fmt: skip
def test_no_other_run_replaces_a_finished_one(
    run: Path, tiny: Write, changes: dict[str, str], resume: bool, told: str
) -> None:
    before = contents(run)
    with pytest.raises(OutputError, match=told) as caught:
        fit(tiny(**changes), run, run, resume=resume)
    assert "\n" not in str(caught.value)
    assert contents(run) == before


def test_a_run_that_was_stopped_is_never_begun_anew(tiny: Write, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_text("weights")
    (tmp_path / "recipe.yaml").write_text(tiny().to_yaml())
    with pytest.raises(OutputError, match="was stopped: --resume goes on with it"):
        fit(tiny(), tmp_path, tmp_path)
    with pytest.raises(OutputError, match=r"another recipe \(model.name differ\)"):
        fit(tiny(model__name="linknet18"), tmp_path, tmp_path, resume=True)
    assert (tmp_path / "last.ckpt").read_text() == "weights"


def test_a_sweep_does_not_take_the_scores_of_another_recipe(
    recipe_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "tta=false"
    folder.mkdir(parents=True)
    (folder / "scores.json").write_text('{"towns/iou": 0.5}')
    (folder / "recipe.yaml").write_text(Recipe.from_file(recipe_file).to_yaml())
    assert sweep(str(recipe_file), {"tta": ["false"]}, tmp_path, tmp_path / "out")
    other = tmp_path / "other.yaml"
    other.write_text(TINY.replace("lite0", "lite1"))
    with pytest.raises(OutputError, match=r"model\.name differ"):
        sweep(str(other), {"tta": ["false"]}, tmp_path, tmp_path / "out")


@pytest.mark.parametrize("nested", ["run", "a/b/run"])
def test_a_start_that_fails_leaves_no_folder(
    tiny: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: str
) -> None:
    drawn = TrainDataset.__getitem__

    def breaks(samples: TrainDataset, index: int) -> Any:
        if samples.seed == 7:
            raise OSError("the loader died")
        return drawn(samples, index)

    monkeypatch.setattr(TrainDataset, "__getitem__", breaks)
    with pytest.raises(OSError, match="died"):
        fit(tiny(trainer__seed="7"), tmp_path, tmp_path / nested)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("keep")
    with pytest.raises(OSError, match="died"):
        fit(tiny(trainer__seed="7"), tmp_path, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


def scene(path: Path, levels: NDArray[np.uint8], *, alpha: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = levels.shape
    where = {"crs": "EPSG:32611", "transform": Affine(1, 0, 6e5, 0, -1, 4e6)}
    kind = {"photometric": "RGB", "ALPHA": "YES" if alpha else "NO"} if count > 2 else {}
    size = {"count": count, "height": height, "width": width, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", **size, **where, **kind) as image:
        image.write(levels)


def noise(bands: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, (bands, 64, 64)).astype(np.uint8)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Scenes of four bands, in one of them tagged as alpha, and RGB pairs, with masks."""
    for name in ("rgbn", "alpha"):
        levels = noise(4)
        if name == "alpha":
            levels[3] = 255  # many levels there would be near infrared, tagged as alpha
        scene(tmp_path / name / "images" / "a.tif", levels, alpha=name == "alpha")
        scene(tmp_path / name / "masks" / "a.tif", noise(1) % 2)
    for folder, shape in (("images", (64, 64, 3)), ("masks", (64, 64))):
        (tmp_path / "rgb" / folder).mkdir(parents=True)
        levels = np.random.default_rng(1).integers(0, 2, shape).astype(np.uint8)
        Image.fromarray(levels * (100 if folder == "images" else 1)).save(
            tmp_path / "rgb" / folder / "a.png"
        )
    return tmp_path


FOUR = {"model__bands": "[red, green, blue, nir]"}


@pytest.mark.parametrize(
    ("source", "changes", "told"),
    [
        ("{kind: scenes, folder: rgbn, stretch: none}", {}, "has 4 bands, the recipe's model 3"),
        ("{kind: scenes, folder: rgbn}", {}, r"choose bands: \[1, 2, 3\] in the source"),
        ("{kind: pairs, folder: rgb}", FOUR, "has 3 bands, the recipe's model 4"),
        ("{kind: pairs, folder: rgb}", FOUR, r"kind: scenes and bands: \[1, 2, 3, 4\]"),
        ("{kind: scenes, folder: alpha}", FOUR, "colorinterp_4 undefined"),
        ("{kind: scenes, folder: alpha, bands: [1, 2, 3, 4]}", FOUR, "band 4 of .* is its alpha"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["train", "val"])
def test_bands_are_counted_before_anything_is_written(
    tiny: Write, sets: Path, source: str, changes: dict[str, str], told: str, place: str
) -> None:
    right = "{kind: towns, count: 1}"
    if changes:
        right = "{kind: scenes, folder: rgbn, bands: [1, 2, 3, 4]}"
    train, val = (source, right) if place == "train" else (right, source)
    recipe = tiny(train=f"[{{source: {train}}}]", val__towns=val, **changes)
    with pytest.raises(InputError, match=told) as caught:
        fit(recipe, sets, sets / "run")
    assert "\n" not in str(caught.value)
    assert not (sets / "run").exists()


def test_colours_that_the_bands_do_not_have_are_found_too(tiny: Write, sets: Path) -> None:
    pan = "{kind: scenes, folder: rgbn, bands: [1]}"
    recipe = tiny(
        train=f"[{{source: {pan}}}]",
        val__towns=pan,
        model__bands="[pan]",
        augment__hue_deg="[-9, 9]",
    )
    with pytest.raises(InputError, match="hue, saturation and value need red, green and blue"):
        fit(recipe, sets, sets / "run")
    assert not (sets / "run").exists()


@pytest.mark.parametrize(
    ("network", "crop_px", "batch", "fails"),
    [
        ("deeplabv3_34", 64, 1, True),
        ("deeplabv3_34", 64, 2, False),
        ("linknet_lite0", 32, 1, True),
        ("linknet_lite0", 64, 1, False),
    ],
)
def test_a_batch_norm_over_one_value_is_found(
    tiny: Write, network: str, crop_px: int, batch: int, fails: bool
) -> None:
    recipe = tiny(model__name=network, augment__crop_px=str(crop_px))
    if not fails:
        loop.check_norms(recipe, batch)
        return
    with pytest.raises(RecipeError, match=r"batch of 2 or more for each process"):
        loop.check_norms(recipe, batch)
    frozen = recipe.trainer.model_copy(update={"freeze_norms": True})
    loop.check_norms(recipe.model_copy(update={"trainer": frozen}), batch)


def test_what_a_worker_says_is_one_line(sets: Path, tiny: Write) -> None:
    for number in range(3):  # the first is looked at beforehand
        scene(sets / "rgbn" / "images" / f"b{number}.tif", noise(3))
        scene(sets / "rgbn" / "masks" / f"b{number}.tif", noise(1) % 2)
    changes = {
        **FOUR,
        "train": "[{source: {kind: scenes, folder: rgbn, stretch: none}}]",
        "val__towns": "{kind: scenes, folder: rgbn, bands: [1, 2, 3, 3], stretch: none}",
        "trainer__workers": "1",
        "trainer__cache_mb": "0",
        "trainer__steps": "20",
    }
    with pytest.raises(TerralinkError, match="has 3 bands, the recipe's model 4") as caught:
        fit(tiny(**changes), sets, sets / "run")
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_recipe_without_validation_sets_is_trained(tiny: Write, tmp_path: Path) -> None:
    assert fit(tiny(val="null"), tmp_path, tmp_path / "run") == {}
    assert fit(tiny(val="null"), tmp_path, tmp_path / "run", resume=True) == {}


def test_the_bar_counts_epochs_from_one_to_their_number() -> None:
    bar = artifacts.Progress(3)
    assert [bar._get_train_description(epoch) for epoch in range(3)] == [
        "Epoch 1/3",
        "Epoch 2/3",
        "Epoch 3/3",
    ]


def test_what_the_weights_were_first_trained_on_is_credited(
    tiny: Write, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    first, second = (
        SegmentationTask(tiny(attribution=who), steps=1, steps_per_epoch=1) for who in ("A", "B")
    )
    save_model(first, tmp_path / "first")
    save_model(second, tmp_path / "second", start=tmp_path / "first")
    card = pretrained.read_config(tmp_path / "second")["metadata"]
    assert card["attribution"] == "B; first trained on: A"
    save_model(first, tmp_path / "again", start=tmp_path / "first")
    assert pretrained.read_config(tmp_path / "again")["metadata"]["attribution"] == "A"
    save_model(first, tmp_path / "third", start=run)
    assert pretrained.read_config(tmp_path / "third")["metadata"]["attribution"] == "A"
