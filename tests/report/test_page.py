"""The report holds all that it shows, and shows what it was given."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from terralink.report import Figure, Key, Layer, Listing, Page, Table


def page(**changes: object) -> Page:
    given: dict[str, object] = {
        "title": "Roads & rivers",
        "lead": "12 km <found>",
        "scene": Image.new("RGB", (40, 20), "green"),
        "layers": [
            Layer(name, f"about {name}", Image.new("RGBA", (40, 20)), [Key("#ff0000", "missed")])
            for name in ("first", "second")
        ],
        "tables": [Table("Lines", [("Recall", "0.912", "within 4 m")])],
        "provenance": {"seed": "7"},
    }
    return Page(**(given | changes))  # type: ignore[arg-type]


def test_nothing_is_fetched_from_elsewhere() -> None:
    text = page().html()
    addresses = re.findall(r"""(?:src|href)="([^"]*)"|url\(([^)]*)\)""", text)
    assert addresses
    assert all("".join(address).startswith("data:") for address in addresses)
    assert "http" not in text


def test_text_is_escaped_and_all_figures_are_there() -> None:
    text = page().html()
    assert "Roads &amp; rivers" in text
    assert "12 km &lt;found&gt;" in text
    for shown in ("Recall", "0.912", "within 4 m", "seed", "about second", "missed"):
        assert shown in text


def test_tags_are_closed_and_every_layer_has_a_picture_a_choice_and_a_legend() -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.layers: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.layers += [tag] if "data-layer" in dict(attrs) else []
            if tag not in ("meta", "link", "img", "input"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(page().html())
    assert reader.open == []
    assert sorted(reader.layers) == ["div", "div", "img", "img"]


def test_the_first_layer_shows_without_a_script() -> None:
    shown = re.findall(r'<img data-layer="(\d)" class="shown"', page().html())
    assert shown == ["0"]


@pytest.mark.parametrize("folder", ["", "new/folder"])
def test_it_is_written_as_one_file(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "report.html"
    page().write(path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(path.parent.iterdir()) == [path]


def test_the_curtain_is_there_only_where_the_scene_shows_something() -> None:
    slider = re.compile(r'<input class="curtain"[^>]*>')
    [with_one], [without] = (
        slider.findall(page().html()),
        slider.findall(page(curtain=False).html()),
    )
    assert " hidden" not in with_one
    assert " hidden" in without


def test_a_page_without_a_scene_holds_figures_and_listings(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "curves.png")
    text = Page(
        "run",
        "A run.",
        figures=[Figure("loss <1>", tmp_path / "curves.png")],
        listings=[Listing("Recipe", "name: <run>\n")],
    ).html()
    assert 'src="data:image/png;base64,' in text
    assert text.count("loss &lt;1&gt;") == 2
    assert "<pre>name: &lt;run&gt;\n</pre>" in text
    assert "curtain" not in text.partition("<body>")[2]
    assert "<script>" not in text
