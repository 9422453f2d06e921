"""One word for one thing: names that the project gave up are no identifiers of the source.

The words of the code are in the glossary of docs/conventions.md. A name counts where it is
defined: modules, classes, functions, arguments, variables, attributes. Names of other libraries do
not count, nor do strings: old options and keys that still work with a warning.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "terralink"

# Nowhere, not even as a local variable.
NAMES = (
    *("house", "room", "floor", "card", "told", "say", "given", "made", "came", "kept", "there"),
    *("may_be_apart", "shipped", "settled", "levels"),
    # raster and vector
    *("made_of", "brought_to", "damage", "Masking", "lost", "lose", "tile_of", "PlacedArea"),
    *("layer_of", "sorted_out", "markup"),
    # inference
    *("walk", "Walk", "upright", "trained", "Trained", "Way"),
    # vectorize and graph
    *("shelf", "faint", "stair_m", "without_pieces", "by_chunks", "tips"),
    # metrics and evaluate
    *("Places", "is_apart", "Judged"),
    # data, losses, models, train
    *("CutMasks", "DrawnMasks", "Samples", "Whole", "Checked", "over_half", "held_out"),
    *("Pairs", "Usual", "reach_px", "Tally"),
    # pipeline, files, commands
    *("Order", "written_whole", "forget_parts", "fit_stages", "unsubmit", "on_bad_tile"),
)
ENDINGS = ("_chance",)

# Not as a function, method or class, which are verbs and things. As variables they are ordinary
# words for values: the ways of OpenStreetMap, the walls of a building, drawn points, merged keys.
DEFINITIONS = (
    *("opened", "called", "mirrored", "ahead", "turned", "fitted", "predicted", "stored"),
    *("roofs", "pruned", "merged", "bridged", "packed", "unpacked", "walls", "places"),
    *("drawn", "together", "changed", "joined", "alone", "looked", "connected", "extracted"),
)

# Not as a module: they said too little, meant two things, or were the name of a function in it.
MODULES = (
    *("virtual", "choice", "corners", "network", "providers", "walls", "sides", "fit"),
    *("polygons", "outlines", "store", "formats", "networks", "chunks", "signal", "strict"),
    *("cutting", "terms", "pairs", "skeletons", "batches", "record", "plateau", "kinds"),
    *("sheet", "town", "runs", "places"),
)

# Names that are right where they are: file, name, why.
EXCEPTIONS = (
    ("models/*.py", "levels", "of a feature pyramid, as its papers call them"),
    ("data/chips.py", "Pairs", "pairs of an image and a mask"),
    ("evaluate/pairs.py", "Pairs", "pairs of files"),
    ("data/splits.py", "held_out", "a key of recipes: how many samples are for validation"),
)
MODULE_EXCEPTIONS = {
    "models/network.py": "the base class of all networks",
    "evaluate/pairs.py": "pairs of files",
    "synthetic/town.py": "the drawn town itself",
}


def definitions(path: Path) -> Iterator[tuple[str, int, bool]]:
    """The names that a file defines, their lines, and whether of a function or class."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno, True
            case ast.arg(arg=name):
                yield name, node.lineno, False
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno, False
            case ast.alias(asname=str(name)):
                yield name, node.lineno, False
            case _:
                pass


def is_given_up(name: str, *, defines: bool) -> bool:
    bare = name.strip("_")
    return bare in NAMES or bare.endswith(ENDINGS) or (defines and bare in DEFINITIONS)


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def is_exception(path: Path, name: str) -> bool:
    bare = name.strip("_")
    return any(fnmatch(relative(path), file) and bare == word for file, word, _ in EXCEPTIONS)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=relative)
def test_no_identifier_has_a_name_that_was_given_up(path: Path) -> None:
    found = [
        f"{name} (line {line})"
        for name, line, defines in definitions(path)
        if is_given_up(name, defines=defines) and not is_exception(path, name)
    ]
    assert not found


def test_no_module_has_a_name_that_was_given_up() -> None:
    modules = [path for path in SOURCE.rglob("*.py") if relative(path) not in MODULE_EXCEPTIONS]
    given_up = {*NAMES, *DEFINITIONS, *MODULES}
    assert not [relative(path) for path in modules if given_up & {path.stem, path.parent.name}]


def test_every_exception_is_needed() -> None:
    defined = [(path, name) for path in SOURCE.rglob("*.py") for name, _, _ in definitions(path)]
    for file, word, _ in EXCEPTIONS:
        assert any(
            fnmatch(relative(path), file) and name.strip("_") == word for path, name in defined
        ), (file, word)
    assert all((SOURCE / file).exists() for file in MODULE_EXCEPTIONS)
