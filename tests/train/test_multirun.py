"""Runs that follow one another: stages and sweeps."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
from terralink.errors import RecipeError
from terralink.train import Recipe, load_stages, multirun, sweep, train_stages

pytestmark = pytest.mark.torch

STAGE = """
name: {name}
about: A stage.
{before}
model: {{name: linknet_lite0}}
train: [{{source: {{kind: towns, count: 4, side_px: 64, take: train}}}}]
split: {{folds: 2}}
val: {{towns: {{kind: towns, count: 1, side_px: 64}}}}
augment: {{crop_px: 64}}
loss: {{name: modified_bce}}
trainer: {{steps: 1, batch_size: 2, workers: 0}}
"""


def written(folder: Path, name: str, before: str = "") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(STAGE.format(name=name, before=before))
    return str(path)


def test_a_recipe_is_led_back_to_its_first_stage() -> None:
    assert [recipe.name for recipe in load_stages("roads")] == ["roads_first", "roads"]


def test_stages_in_a_circle_are_refused(tmp_path: Path) -> None:
    circle = written(tmp_path, "circle", f"starts_from: {tmp_path}/circle.yaml")
    with pytest.raises(RecipeError, match="circle"):
        load_stages(circle)


class Fits:
    """Stands for ``fit``: remembers what it was asked for and leaves scores."""

    def __init__(self) -> None:
        self.asked: list[tuple[Recipe, Path | None]] = []

    def __call__(
        self, recipe: Recipe, _data: Path, out: Path, *, start: Path | None, **_more: Any
    ) -> dict[str, float]:
        self.asked.append((recipe, start))
        out.mkdir(parents=True)
        fold = recipe.split.fold if recipe.split else 0
        score = recipe.loss[0]["alpha"] + fold
        (out / "scores.json").write_text(f'{{"towns/iou": {score}}}')
        return {"towns/iou": score}


def test_each_stage_starts_from_the_one_before_and_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Fits()
    monkeypatch.setattr(multirun, "fit", fits)
    both = [Recipe.from_name(written(tmp_path, name)) for name in ("noisy", "clean")]
    train_stages(both, tmp_path, tmp_path / "out")
    done = train_stages(both, tmp_path, tmp_path / "out")
    assert [start for _, start in fits.asked] == [None, tmp_path / "out" / "1_noisy"]
    assert [recipe.name for recipe, _ in done] == ["noisy", "clean"]


def test_a_sweep_runs_every_setting_in_every_fold_once_and_gives_mean_and_spread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Fits()
    monkeypatch.setattr(multirun, "fit", fits)
    recipe = written(tmp_path, "stage")
    choices = {"loss.alpha": ["0.25", "0.75"], "trainer.batch_size": ["1"]}
    for _ in range(2):
        rows = sweep(recipe, choices, tmp_path, tmp_path / "out", folds=2)
    assert len(fits.asked) == 4
    assert [row.setting["loss.alpha"] for row in rows] == ["0.25", "0.75"]
    assert [row.mean("towns/iou") for row in rows] == [0.75, 1.25]
    assert rows[0].spread("towns/iou") == pytest.approx(0.5**0.5)


def test_a_wrong_value_is_told_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = Fits()
    monkeypatch.setattr(multirun, "fit", fits)
    with pytest.raises(RecipeError, match="alpha"):
        sweep(written(tmp_path, "stage"), {"loss.alpha": ["0.1", "7"]}, tmp_path, tmp_path / "out")
    assert not fits.asked
