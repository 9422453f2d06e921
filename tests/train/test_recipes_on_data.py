"""What the recipes of our own models learn from and are scored on, where the data are."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from pyproj import Transformer  # noqa: E402

from terralink.data.chips import IGNORE, Subset  # noqa: E402
from terralink.data.prepare import ValidatedChips  # noqa: E402
from terralink.data.sources import AnySource  # noqa: E402
from terralink.data.sources.tiles import TileChips  # noqa: E402
from terralink.train import Recipe  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.data]

# Chips of each set that are learned from, by folder, and that are scored, by the set's name.
SIZES = {
    "roads_mixed": (
        {
            "massachusetts": 180,
            "massachusetts-more": 77,
            "dubai": 45,
            "gsi-roads": 20,
            "spacenet-shanghai": 19,
            "spacenet-vegas-chips": 20,
        },
        {"massachusetts": 48, "tune": 20, "more": 25, "dubai": 9, "shanghai": 6, "vegas": 6},
    ),
    "roads_fine": (
        {
            "massachusetts": 180,
            "dubai": 45,
            "gsi-roads": 20,
            "spacenet-shanghai": 19,
            "spacenet-vegas-chips": 20,
        },
        {"gsi": 6, "vegas": 6},
    ),
    "buildings": (
        {
            "hotosm/zanzibar-tz": 160,
            "hotosm/ggaba-kampala-ug": 35,
            "hotosm/banepa-np": 20,
            "banepa-osm": 48,
            "spacenet-rio": 8,
            "spacenet-buildings": 2,
        },
        {"zanzibar": 70, "banepa": 20, "rio": 2, "chips": 1},
    ),
    "landcover": ({"dubai": 45}, {"dubai": 9}),
    "fields": ({"fields-naip": 22}, {"naip": 6}),
}
every_recipe = pytest.mark.parametrize("name", SIZES)


def parts(recipe: Recipe, root: Path) -> tuple[dict[str, Subset], dict[str, Subset]]:
    """What is learned from by its folder, and what is scored by its name; towns are drawn."""
    read = [each.source for each in recipe.train if each.source.kind != "towns"]
    learned = {folder(source): source.chips(root, recipe.split) for source in read}
    scored = {name: source.chips(root, recipe.split) for name, source in recipe.val.items()}
    return learned, scored


def folder(source: AnySource) -> str:
    return str(getattr(source, "folder", ""))


def pictures(part: Subset) -> set[str]:
    """The pictures that chips come from: of a window of an image the image, by its name."""
    names = (Path(part[index].name) for index in range(len(part)))
    return {str(name.with_name(name.stem.split("_y")[0])) for name in names}


def middles_m(part: Subset) -> np.ndarray:
    """Where tiles lie, in metres of the web map: (tile, 2)."""
    tiles = part.chips
    assert isinstance(tiles, TileChips)
    to_m = Transformer.from_crs(4326, 3857, always_xy=True)
    found = []
    for index in part.indices:
        x, y, z = (int(part) for part in tiles.paths[index].stem.split("-")[-3:])
        lon = (x + 0.5) / 2**z * 360 - 180
        lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + 0.5) / 2**z))))
        found.append(to_m.transform(lon, lat))
    return np.array(found)


@every_recipe
def test_each_set_gives_what_the_recipe_says(name: str, data_root: Path) -> None:
    learned, scored = parts(Recipe.from_name(name), data_root)
    sizes = tuple({key: len(part) for key, part in found.items()} for found in (learned, scored))
    assert sizes == SIZES[name]


@every_recipe
def test_no_picture_is_learned_from_and_scored(name: str, data_root: Path) -> None:
    learned, scored = parts(Recipe.from_name(name), data_root)
    known = set().union(*map(pictures, learned.values()))
    for key, part in scored.items():
        assert not known & pictures(part), key


@every_recipe
def test_masks_hold_the_recipe_s_classes_and_each_is_there(name: str, data_root: Path) -> None:
    recipe = Recipe.from_name(name)
    classes = max(2, len(recipe.model.classes))
    learned, scored = parts(recipe, data_root)
    for key, part in {**learned, **scored}.items():
        chips = ValidatedChips(part, classes)  # refuses a class that the recipe does not have
        masks = [chips[index].mask for index in range(min(len(chips), 8))]
        there = set(np.unique(np.concatenate([mask.ravel() for mask in masks]))) - {IGNORE}
        assert len(there) >= 2, key


def test_tiles_that_are_scored_lie_apart_from_those_that_are_learned_from(data_root: Path) -> None:
    recipe = Recipe.from_name("buildings")
    learned, scored = parts(recipe, data_root)
    tiles = [part for part in learned.values() if isinstance(part.chips, TileChips)]
    known = np.concatenate([middles_m(part) for part in tiles])
    for key in ("zanzibar", "banepa"):
        held = middles_m(scored[key])
        apart_m = np.linalg.norm(held[:, None] - known[None], axis=-1).min()
        assert apart_m > 1_000, key


def test_what_the_benchmark_scores_no_road_recipe_learns_from(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    road_sets = pytest.importorskip("road_sets")
    scored = set().union(
        *(pictures(source.chips(data_root, None)) for source in road_sets.SETS.values())
    )
    for name in ("roads_mixed", "roads_fine"):
        learned, _ = parts(Recipe.from_name(name), data_root)
        assert not scored & set().union(*map(pictures, learned.values()))
