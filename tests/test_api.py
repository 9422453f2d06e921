"""The public API: ``terralink.__all__``, and docs/api.md, which describes it.

``python tests/test_api.py`` writes the page anew.
"""

import inspect
from functools import cached_property
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import terralink

PAGE = Path(__file__).parent.parent / "docs" / "api.md"

GROUPS = {
    "From a scene to a map": [
        *("extract_map", "extract_roads", "extract_buildings", "extract_landcover"),
    ],
    "Options": ["SceneOptions", "RoadOptions", "BuildingOptions", "LandcoverOptions"],
    "Rasters and scenes": [
        *("open_scene", "read_raster", "Scene", "Raster", "Grid", "Area", "Stretch"),
    ],
    "Models and predictions": ["list_models", "load_model", "predict", "predict_to_file"],
    "From probabilities to vectors": ["trace_roads", "trace_buildings", "trace_landcover"],
    "Road graphs": ["RoadGraph"],
    "Metrics": ["apls", "topo", "match_centrelines", "match_buildings", "match_pixels"],
    "Errors": ["TerralinkError"],
}

INTRODUCTION = """# Python API

These names are imported from `terralink` itself: `terralink.extract_roads`,
`terralink.RoadGraph` and so on. A change to them is listed in the change log. Everything else is
internal and may change in any version. `import terralink` loads no other package; a name is
imported when it is first used.

This page is generated from the docstrings by `python tests/test_api.py`.
"""
WHOLE = ("extract_map", "SceneOptions", "RoadOptions", "BuildingOptions", "LandcoverOptions")


def describe_page() -> str:
    parts = [INTRODUCTION]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [describe(name, getattr(terralink, name)) for name in names]
    return "\n".join(parts)


def describe(name: str, value: Any) -> str:
    lines = [f"### {name}\n", "```python", describe_call(name, value), "```\n"]
    text = (inspect.getdoc(value) or "").strip()
    lines += ["```text", text, "```\n"] if name in WHOLE else [first_paragraph(text) + "\n"]
    if inspect.isclass(value) and public_members(value):
        lines += [*(describe_member(value, member) for member in public_members(value)), ""]
    return "\n".join(lines)


def public_members(cls: type) -> list[str]:
    """Methods and properties that the class itself defines."""
    kinds = (property, classmethod, staticmethod, FunctionType, cached_property)
    return sorted(
        name
        for name, value in vars(cls).items()
        if not name.startswith("_") and isinstance(value, kinds) and inspect.getdoc(value)
    )


def describe_member(cls: type, name: str) -> str:
    call = describe_call(name, getattr(cls, name)) if callable(getattr(cls, name)) else name
    text = inspect.getdoc(inspect.getattr_static(cls, name)) or ""
    return f"- `{' '.join(call.split())}`: {first_paragraph(text)}"


def describe_call(name: str, value: Any) -> str:
    if inspect.isclass(value) and issubclass(value, Exception):
        return f"class {name}(Exception)"
    parameters = inspect.signature(value).parameters.values()
    shown: list[str] = []
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        if each.name != "self":
            shown.append(each.name + describe_default(each.default))
    call = f"{name}({', '.join(shown)})"
    if len(call) <= 100:
        return call
    return f"{name}(\n    " + ",\n    ".join(shown) + ",\n)"


def describe_default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return ""
    if type(default).__name__.endswith("Options"):
        return f"={type(default).__name__}()"
    return (
        f"={default!r}"
        if default is None or isinstance(default, bool | int | float | str)
        else "=..."
    )


def first_paragraph(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.strip().split("\n\n")[0].split())


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == describe_page(), "run: python tests/test_api.py"


def test_the_page_has_all_public_names_once() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(terralink.__all__)


@pytest.mark.parametrize("name", terralink.__all__)
def test_a_public_name_is_listed_documented_and_no_module(name: str) -> None:
    value = getattr(terralink, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    assert inspect.getdoc(value)
    assert name in dir(terralink)
    assert not (Path(terralink.__file__).parent / name).exists()
    assert not (Path(terralink.__file__).parent / f"{name}.py").exists()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'extract_rivers'"):
        terralink.extract_rivers  # noqa: B018


if __name__ == "__main__":
    PAGE.write_text(describe_page())
