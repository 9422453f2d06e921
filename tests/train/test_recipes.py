"""Every shipped recipe takes two optimizer steps, on drawn towns in place of its data.

As they stand, networks of 237 million parameters on chips of 1,024 px would take hours. So a recipe
is run in three parts, which leave nothing of it out:

    the loop        with a small network: its own augmentation, optimizer, schedule, trainer and
                    scoring, from the data to the scores. Recipes for which that is the same run
                    (rows that differ in network, loss, data, stage or ground size) share it.
    the network     its own, for two plain steps of gradient at 64 px. Recipes with one network
                    share them. Adam's memory and the loop's checkpoints of 2.8 GB are left out.
    the loss        its own, with its own numbers, on drawn logits: each recipe for itself.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink import losses, models  # noqa: E402
from terralink.data.sources import Source, Towns  # noqa: E402
from terralink.train import Recipe, fit, list_bundled  # noqa: E402
from terralink.train.datamodule import DataModule  # noqa: E402
from terralink.train.recipe import WeightedSource  # noqa: E402
from terralink.train.task import SegmentationTask  # noqa: E402

pytestmark = pytest.mark.torch

every_recipe = pytest.mark.parametrize("name", list_bundled())
named = cache(Recipe.from_name)
SIDE_PX = 64


def drawn(recipe: Recipe) -> Recipe:
    """``recipe`` for two steps on drawn towns; what it does with them is its own."""
    train = Towns(kind="towns", count=3, side_px=96)
    val = Towns(kind="towns", count=1, side_px=96, seed=9)
    length: dict[str, Any] = {"epochs": 2} if recipe.trainer.epochs else {"steps": 2}
    small = {"batch_size": 2, "steps_per_epoch": 1, "precision": "32-true", "workers": 0}
    reach_px = tuple(px * SIDE_PX // recipe.augment.crop_px for px in recipe.augment.shift_px)
    changes = {
        "model": recipe.model.model_copy(update={"weights": None}),
        "split": None,
        "starts_from": None,
        "train": (WeightedSource(source=train),),
        "val": dict.fromkeys(recipe.val, val),
        "augment": recipe.augment.model_copy(update={"crop_px": SIDE_PX, "shift_px": reach_px}),
        "trainer": recipe.trainer.model_copy(update={**small, **length}),
    }
    return recipe.model_copy(update=changes)


def for_the_loop(recipe: Recipe) -> Recipe:
    """What is left when rows may differ in network, loss, stage and ground size."""
    model = recipe.model.model_copy(
        update={"name": "linknet_lite0", "classes": ("road",), "pixel_size_m": 1.0}
    )
    told = {"name": "small", "about": "", "paper": None, "licence": "", "attribution": ""}
    loss = tuple(losses.check([{"name": "bce_dice"}]))
    return recipe.model_copy(update={"model": model, "loss": loss, **told})


@cache
def loop(as_yaml: str, folder: Path) -> tuple[dict[str, float], int]:
    """Scores and steps of the loop."""
    path = folder / f"{abs(hash(as_yaml))}.yaml"
    path.write_text(as_yaml)
    out = path.with_suffix("")
    scores = fit(Recipe.from_file(path), folder, out)
    last = torch.load(out / "last.ckpt", weights_only=True)
    return scores or {}, last["global_step"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@every_recipe
def test_every_recipe_goes_through_the_loop(name: str, folder: Path) -> None:
    recipe = named(name)
    scores, steps = loop(for_the_loop(drawn(recipe)).to_yaml(), folder)
    assert steps == 2
    assert {figure.partition("/")[0] for figure in scores} == set(recipe.val)
    assert all(0 <= value <= 1 for value in scores.values())


@cache
def two_steps(network: str, num_classes: int, in_channels: int, name: str) -> list[float]:
    """The loss before each of two steps of the network of a recipe called ``name``."""
    recipe = drawn(named(name))
    task = SegmentationTask(recipe, steps=2, steps_per_epoch=1)
    sizes = {"name": network, "num_classes": num_classes, "in_channels": in_channels}
    made: Any = task.network.network
    assert sizes.items() <= made.config.items()
    optimizer = torch.optim.SGD(task.parameters(), lr=1e-3)
    loader = DataModule(recipe, Path()).train(lambda: 0)
    before, seen = [each.detach().clone() for each in _cumulative_counts(task)], []
    for _ in range(2):
        (batch,) = loader
        optimizer.zero_grad(set_to_none=False)  # the memory of a large network is kept
        loss: Any = task.loss(task(batch["image"]).float(), batch["mask"])
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    moved = zip(before, _cumulative_counts(task), strict=True)
    assert all(not torch.equal(was, now) and now.isfinite().all() for was, now in moved)
    return seen


@every_recipe
def test_the_network_of_every_recipe_takes_two_steps(name: str) -> None:
    model = named(name).model
    key = (model.name, len(model.classes), len(model.bands))
    seen = two_steps(*key, first.setdefault(key, name))
    assert len(seen) == 2
    assert all(math.isfinite(loss) for loss in seen)


first: dict[tuple[str, int, int], str] = {}  # the recipe that a network is tried with


def _cumulative_counts(task: SegmentationTask) -> list[Any]:
    """The first and the last weights."""
    weights = [each for each in task.network.parameters() if each.ndim == 4]
    return [weights[0], weights[-1]]


@every_recipe
def test_the_loss_of_every_recipe_has_a_gradient(name: str) -> None:
    drawn = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 16, 16, generator=drawn, requires_grad=True)
    target = torch.randint(0, 2, (2, 16, 16), generator=drawn)
    loss: Any = losses.build(named(name).loss)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


@every_recipe
def test_no_recipe_trains_on_what_it_is_scored_on(name: str) -> None:
    recipe = named(name)
    for part in recipe.train:
        for held_out in recipe.val.values():
            assert apart(part.source, held_out), (part.source, held_out)


def apart(one: Source, other: Source) -> bool:
    """Whether two entries share no chip, by what they say."""
    if any(getattr(one, key, None) != getattr(other, key, None) for key in ("kind", "folder")):
        return True
    if {one.take, other.take} == {"train", "val"}:
        return True
    if "tiles" in type(one).model_fields:
        return not set(one.tiles) & set(other.tiles)  # type: ignore[attr-defined]
    return getattr(one, "part", None) != getattr(other, "part", None)


@every_recipe
def test_a_second_stage_takes_the_weights_of_its_first(name: str) -> None:
    recipe = named(name)
    if recipe.starts_from:
        first = named(recipe.starts_from).model
        assert (first.classes, first.bands) == (recipe.model.classes, recipe.model.bands)
        assert tensors(first.name) == tensors(recipe.model.name)


@cache
def tensors(network: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a network's weights."""
    with torch.device("meta"):
        made = models.create_model(network)
    return {key: tuple(value.shape) for key, value in made.state_dict().items()}


@every_recipe
def test_a_row_of_a_paper_says_where_it_stands(name: str) -> None:
    recipe, own = named(name), list_bundled()[name].parent.name == "recipes"
    assert own or recipe.paper
    assert all(0 < value < 1 for value in (recipe.paper.figures if recipe.paper else {}).values())


def test_what_one_row_reached_is_not_said_of_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nextends: pplinknet_roads\n")
    assert Recipe.from_file(path).paper is None
