"""The pages say what is true: links lead somewhere, commands and options exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from terralink.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
# Records keep the names of their day.
CURRENT = [page for page in PAGES if page.name not in ("CHANGELOG.md", "log.md")]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The ``terralink`` commands in the code of a page, each with its options."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fences = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    code = [*fences, *(span.replace("\n", " ") for span in spans)]
    for line in re.sub(r"\s# .*", "", "\n".join(code)).splitlines():
        for name, rest in re.findall(r"\bterralink ([a-z][a-z-]*)\b([^#&|]*)", line):
            yield name, re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)


def options() -> dict[str, set[str]]:
    """The options of each command."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {
        name: {"--help", *(option for each in command.params for option in _spellings(each))}
        for name, command in group.commands.items()
    }


def _spellings(parameter: Any) -> list[str]:
    return [*parameter.opts, *parameter.secondary_opts]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http:", "https:")):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    known = options()
    for name, used in commands(page):
        assert name in known, name
        assert known[name].issuperset(used), (name, used)
