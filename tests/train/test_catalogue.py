"""What is shipped is listed by paper, with the figures that the papers print."""

from pathlib import Path

import pytest

pytest.importorskip("torch")
from terralink.errors import RecipeError
from terralink.train import catalogue, ensemble, recipe

pytestmark = pytest.mark.torch

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def test_everything_shipped_is_in_one_group() -> None:
    listed = [name for group in catalogue.list_groups() for name in group.entries]
    assert sorted(listed) == sorted([*recipe.list_bundled(), *ensemble.list_bundled()])


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    again = tmp_path / "recipes.md"
    again.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    catalogue.update_page(again)
    assert again.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8"), (
        "terralink recipes --into docs/recipes.md"
    )


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    with pytest.raises(RecipeError, match="no marks"):
        catalogue.update_page(page)
    assert page.read_text() == "# Mine\n"


def test_one_is_shown_whole_headed_by_its_figure(tmp_path: Path) -> None:
    shown = catalogue.to_yaml(catalogue.load_entry("linknetb7_alpha_005"))
    assert shown.startswith("# Table II, alpha = 0.05: patch_f1 0.919, patch_accuracy 0.956\n")
    (tmp_path / "mine.yaml").write_text(shown)
    assert catalogue.load_entry(str(tmp_path / "mine.yaml")) == catalogue.load_entry(
        "linknetb7_alpha_005"
    )
    of_two = catalogue.to_yaml(catalogue.load_entry("dlinknet_ensemble_of_two"))
    assert of_two.startswith(
        "# slides, ensemble of U-Net and LinkNet34 (validation set): image_iou"
    )
