"""Several networks as one: members are trained once, and their probabilities averaged."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from terralink.errors import RecipeError  # noqa: E402
from terralink.train import (  # noqa: E402
    Ensemble,
    Recipe,
    ensemble,
    fit_ensemble,
    is_ensemble,
    multirun,
    read_scores,
)
from terralink.train.task import probabilities  # noqa: E402

pytestmark = pytest.mark.torch

MEMBER = """
name: NAME
about: Two steps on drawn towns.
model: {name: linknet_lite0}
train: [{source: {kind: towns, count: 2, side_px: 96}}]
val: {towns: {kind: towns, count: 1, side_px: 96, seed: 9}}
augment: {crop_px: 64}
trainer: {steps: 2, batch_size: 2, steps_per_epoch: 1, precision: 32-true, workers: 0}
"""


@pytest.fixture
def of_two(tmp_path: Path) -> Any:
    """Write an ensemble of a.yaml and b.yaml, with changes to either's text."""

    def write(*, a: str = "", b: str = "", weights: str = "a.yaml: 1, b.yaml: 1e-9") -> Ensemble:
        for name, change in (("a", a), ("b", b)):
            (tmp_path / f"{name}.yaml").write_text(MEMBER.replace("NAME", name) + change)
        path = tmp_path / "both.yaml"
        path.write_text(f"name: both\nabout: Both.\nmembers: {{{weights}}}\n")
        assert is_ensemble(str(path))
        return Ensemble.from_file(path)

    return write


@pytest.mark.parametrize("classes", [1, 3])
def test_the_mean_is_of_probabilities_by_weight(classes: int) -> None:
    networks = [torch.nn.Conv2d(3, classes, 1) for _ in range(3)]
    weights, image = [1.0, 2.0, 5.0], torch.randn(2, 3, 4, 4)
    mean = probabilities(ensemble.MeanNetwork(networks, weights)(image))
    parts = zip(weights, networks, strict=True)
    wanted = sum(weight * probabilities(network(image)) for weight, network in parts) / 8
    assert torch.allclose(mean, wanted, atol=1e-6)


def test_certain_networks_have_a_finite_mean() -> None:
    network = torch.nn.Conv2d(3, 1, 1)
    torch.nn.init.constant_(network.bias, 1e4)
    assert (
        ensemble.MeanNetwork([network, network], [1, 1])(torch.zeros(1, 3, 2, 2)).isfinite().all()
    )


def test_members_are_trained_once_and_scored_together(
    of_two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    scores = fit_ensemble(of_two(b="tta: true"), tmp_path, out, changes={"trainer.seed": "3"})
    assert scores is not None
    # The weight of b is nearly nothing: the scores are those of a alone.
    assert scores == pytest.approx(read_scores(out / "a"), abs=1e-6)
    assert read_scores(out) == scores
    assert Recipe.from_file(out / "b" / "recipe.yaml").trainer.seed == 3
    monkeypatch.setattr(multirun, "fit", None)  # not called again
    assert fit_ensemble(of_two(), tmp_path, out) == scores


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"b": "starts_from: roads"}, "goes on from 'roads'"),
        ({"b": "split: {folds: 2}"}, "no validation set in common"),
        ({"weights": "a.yaml: 1"}, "members"),
        ({"weights": "a.yaml: 1, b.yaml: 0"}, r"members\.b\.yaml"),
        ({"weights": "a.yaml: 1, raods: 1"}, "did you mean 'roads'"),
    ],
)
def test_members_that_do_not_go_together_are_refused_beforehand(
    of_two: Any, tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    with pytest.raises(RecipeError, match=told) as caught:
        fit_ensemble(of_two(**changed), tmp_path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_members_with_other_classes_are_refused(of_two: Any, tmp_path: Path) -> None:
    both = of_two()
    (tmp_path / "b.yaml").write_text(
        MEMBER.replace("NAME", "b").replace("lite0}", "lite0, classes: [roof]}")
    )
    with pytest.raises(RecipeError, match="'a' and 'b' have other classes"):
        both.recipes()


def test_two_members_of_one_name_are_refused(of_two: Any, tmp_path: Path) -> None:
    both = of_two()
    (tmp_path / "b.yaml").write_text(MEMBER.replace("NAME", "a"))
    with pytest.raises(RecipeError, match="two members have the name 'a'"):
        both.recipes()


@pytest.mark.parametrize("name", ensemble.list_bundled())
def test_a_shipped_ensemble_is_valid_and_named_as_its_file(name: str) -> None:
    list_bundled = Ensemble.from_name(name)
    assert list_bundled.name == name
    assert is_ensemble(name)
    assert [recipe.name for recipe in list_bundled.recipes()] == list(list_bundled.members)


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    list_bundled = Ensemble.from_name("dlinknet_ensemble_of_three")
    (tmp_path / "again.yaml").write_text(list_bundled.to_yaml())
    assert Ensemble.from_file(tmp_path / "again.yaml") == list_bundled


def test_a_misspelt_ensemble_is_told_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'dlinknet_ensemble_of_two'"):
        Ensemble.from_name("dlinknet_ensemble_two")
