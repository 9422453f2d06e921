"""Chips of any ground size are brought to the model's, to train, to validate and to score."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from terralink.data.prepare import ResampledChips, resample_chip  # noqa: E402
from terralink.errors import RecipeError  # noqa: E402
from terralink.train import Recipe, ensemble  # noqa: E402
from terralink.train.datamodule import DataModule  # noqa: E402

pytestmark = pytest.mark.torch

Write = Callable[..., Recipe]
SIDE = 100


@pytest.fixture
def recipe(tmp_path: Path) -> Write:
    """A recipe for 1 m of pairs of 100 px; ``source`` is added to both of its sets."""
    rng = np.random.default_rng(0)
    for folder, shape in (("images", (SIDE, SIDE, 3)), ("masks", (SIDE, SIDE))):
        (tmp_path / "mine" / folder).mkdir(parents=True)
        for name in "ab":
            levels = rng.integers(0, 256 if folder == "images" else 2, shape).astype(np.uint8)
            Image.fromarray(levels).save(tmp_path / "mine" / folder / f"{name}.png")

    def write(source: str = "", more: str = "") -> Recipe:
        pairs = f"{{kind: pairs, folder: mine{source}}}"
        (tmp_path / "mine.yaml").write_text(
            "name: mine\nabout: Pairs.\nmodel: {name: linknet_lite0, pixel_size_m: 1.0}\n"
            f"train: [{{source: {pairs}}}]\nval: {{v: {pairs}}}\n"
            f"trainer: {{steps: 1, batch_size: 2, workers: 0}}\n{more}"
        )
        crop = "" if "augment" in more else "augment: {crop_px: 16, dihedral: false}\n"
        with (tmp_path / "mine.yaml").open("a") as file:
            file.write(crop)
        return Recipe.from_file(tmp_path / "mine.yaml")

    return write


def first(batches: DataModule) -> tuple[Any, Any]:
    """The first sample to train on and the first chip to validate on."""
    train, (val,) = batches.train(lambda: 0), batches.val()
    return next(iter(train))["image"][0].numpy(), next(iter(val))["image"][0].numpy()


@pytest.mark.parametrize(("size_m", "side"), [(0.2, 20), (0.5, 50), (0.76, 76), (1.0, 100)])
def test_finer_chips_are_averaged_by_default(
    recipe: Write, tmp_path: Path, size_m: float, side: int
) -> None:
    batches = DataModule(recipe(f", pixel_size_m: {size_m}"), tmp_path)
    trained, validated = first(batches)
    plain = batches.recipe.train[0].source.read(tmp_path)
    chips = [resample_chip(plain[index], 1.0).image for index in range(2)]
    assert validated.shape == (3, side, side)
    assert (validated == chips[0]).all()
    windows = [
        chip[:, row : row + 16, col : col + 16]
        for chip in chips
        for row, col in np.ndindex(side - 15, side - 15)
    ]
    assert any((window == trained).all() for window in windows)


def test_coarser_chips_are_enlarged_alike(recipe: Write, tmp_path: Path) -> None:
    trained, validated = first(DataModule(recipe(", pixel_size_m: 2.0"), tmp_path))
    assert validated.shape == (3, 200, 200)
    # Of noise that is enlarged twice, neighbours differ half as much as its own pixels do.
    own = Image.open(tmp_path / "mine/images/a.png")
    rough = np.abs(np.diff(np.asarray(own).astype(float), axis=1)).mean()
    for image in (trained, validated):
        assert np.abs(np.diff(image, axis=-1)).mean() < 0.6 * rough


@pytest.mark.parametrize(
    ("source", "more"),
    [
        (", pixel_size_m: 0.2", "rescale: false\n"),
        (", pixel_size_m: 0.2, rescale: false", ""),
        (", pixel_size_m: 0.2", "augment: {crop_px: 16, fit: whole}\n"),
        ("", ""),
    ],
)
def test_what_does_not_want_it_or_does_not_know_stays_pixel_for_pixel(
    recipe: Write, tmp_path: Path, source: str, more: str
) -> None:
    _, validated = first(DataModule(recipe(source, more), tmp_path))
    assert validated.shape == (3, SIDE, SIDE)


def test_chips_that_do_not_know_their_size_get_a_word(
    recipe: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        DataModule(recipe(), tmp_path)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "pairs mine: 2 of 2 chips do not say their ground size" in line
    assert "1 m" in line


@pytest.mark.parametrize("cache_mb", [0, 4096])
def test_chips_that_are_smaller_than_the_crop_get_a_word(
    recipe: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture, cache_mb: int
) -> None:
    small = recipe(", pixel_size_m: 0.2", "augment: {crop_px: 64}\n")
    trainer = small.trainer.model_copy(update={"cache_mb": cache_mb})
    with caplog.at_level(logging.WARNING):
        DataModule(small.model_copy(update={"trainer": trainer}), tmp_path)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "smaller than augment.crop_px of 64" in line
    assert "20 x 20 px at 1 m" in line


def test_an_ensemble_is_scored_at_the_size_of_its_members(recipe: Write, tmp_path: Path) -> None:
    mine = recipe(", pixel_size_m: 0.2")
    both = ensemble.Ensemble(name="both", about="Both.", members={"a": 1, "b": 1})
    (loader,) = ensemble._val_loaders(both, [mine, mine], tmp_path).values()
    assert next(iter(loader))["image"].shape == (1, 3, 20, 20)
    other = mine.model_copy(
        update={"name": "b", "model": mine.model.model_copy(update={"pixel_size_m": 0.5})}
    )
    assert "other pixel_size_m" in (ensemble._find_conflict(other, [mine]) or "")
    with pytest.raises(RecipeError, match="no validation set in common"):
        ensemble._val_loaders(both, [mine, mine.model_copy(update={"rescale": False})], tmp_path)


def test_recipes_rescale_unless_they_say_otherwise() -> None:
    for name in ("roads", "roads_first", "buildings"):
        recipe = Recipe.from_name(name)
        assert recipe.rescale_to_m == recipe.model.pixel_size_m
    # A list is replaced: what is trained on in place of the towns is brought to 1 m.
    mine = Recipe.from_name("roads", {"train": "[{source: {kind: pairs, folder: mine}}]"})
    assert mine.rescale_to_m == 1.0
    assert mine.train[0].source.rescale
    towns = Recipe.from_name("roads").train[2].source
    assert not towns.rescale
    assert ResampledChips(towns.read(Path()), None)[0].pixel_size_m is None
