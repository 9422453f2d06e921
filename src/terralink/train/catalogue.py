"""What is shipped, by paper: for ``terralink recipes`` and docs/recipes.md."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from terralink.atomic_write import write_atomically
from terralink.errors import RecipeError
from terralink.train import ensemble, recipe
from terralink.train.ensemble import Ensemble
from terralink.train.recipe import Paper, Recipe

Entry = Recipe | Ensemble

_TITLES = {  # by the folders of recipes/ and ensembles/, in the order of the page
    "recipes": "Our own",
    "linknetb7": "LinkNetB7 (Gong, Zong and Du, EPFL)",
    "dlinknet": "D-LinkNet (Zhou et al. 2018)",
    "pplinknet": "PP-LinkNet (Tran et al. 2020)",
    "plinknet": "P-LinkNet (Ding et al. 2020)",
    "paddy": "DeepLabV3 on paddy fields (Heryadi et al. 2020)",
}
START = "<!-- made by: terralink recipes --into docs/recipes.md -->"
END = "<!-- end of the tables -->"


@dataclass(frozen=True)
class Group:
    """The recipes and ensembles of a paper, or our own, by name."""

    title: str
    entries: Mapping[str, Entry]


def list_groups() -> list[Group]:
    """All that is shipped."""
    found: dict[str, dict[str, Entry]] = {folder: {} for folder in _TITLES}
    for name, path in recipe.list_bundled().items():
        found[path.parent.name][name] = Recipe.from_name(name)
    for name, path in ensemble.list_bundled().items():
        found[path.parent.name][name] = Ensemble.from_name(name)
    return [Group(_TITLES[folder], dict(sorted(each.items()))) for folder, each in found.items()]


def load_entry(name: str) -> Entry:
    """A recipe or an ensemble, by its name or file."""
    return Ensemble.from_name(name) if ensemble.is_ensemble(name) else Recipe.from_name(name)


def format_figures(paper: Paper | None) -> str:
    """What the paper reached, in a line; empty where it prints no number.

    >>> format_figures(Paper(where="Table 1", figures={"image_iou": 0.6987, "apls": 0.7604}))
    'image_iou 0.6987, apls 0.7604'
    """
    return (
        ", ".join(f"{name} {value:.4g}" for name, value in paper.figures.items()) if paper else ""
    )


def to_yaml(shown: Entry) -> str:
    """The whole of it, headed by the paper's figure."""
    if shown.paper is None:
        return shown.to_yaml()
    summary = format_figures(shown.paper)
    return f"# {shown.paper.where}{': ' if summary else ''}{summary}\n{shown.to_yaml()}"


def update_page(page: Path) -> None:
    """Bring the tables of a Markdown page up to date, between its two marks."""
    text = page.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise RecipeError(f"{page} has no marks to put the tables between: {START} and {END}")
    with write_atomically(page, option="--into") as part:
        part.write_text(f"{before}{START}\n{to_markdown()}{END}{after}", encoding="utf-8")


def to_markdown() -> str:
    """A table for each paper."""
    tables = ("\n".join(["", f"## {each.title}", *_table(each), ""]) for each in list_groups())
    return "".join(tables) + "\n"


def _table(group: Group) -> Iterator[str]:
    if all(each.paper is None for each in group.entries.values()):
        yield "| recipe | what it is |"
        yield "|---|---|"
        yield from (f"| `{name}` | {each.about} |" for name, each in group.entries.items())
        return
    yield "| recipe | what it is | in the paper | its figure |"
    yield "|---|---|---|---|"
    for name, each in group.entries.items():
        where = each.paper.where if each.paper else ""
        yield f"| `{name}` | {each.about} | {where} | {format_figures(each.paper)} |"
