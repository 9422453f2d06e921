"""The cut of the code: sizes of files, no import cycle at any level, names of functions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

import terralink

SRC = Path(terralink.__file__).parent
MIN_LINES, MAX_LINES, MAX_MODULES = 60, 400, 145

FILES = {path.relative_to(SRC).as_posix(): path for path in SRC.rglob("*.py")}
MODULES = {
    ".".join(("terralink", *Path(name).with_suffix("").parts)).removesuffix(".__init__"): path
    for name, path in FILES.items()
}


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def iter_imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement, in functions too, but those for type checkers only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from iter_imports(other)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from iter_imports(child)


def imported_modules(path: Path) -> set[str]:
    """The modules of terralink that a file imports.

    ``from package import name`` is an import of the module ``package.name`` where there is one. The
    packages around a module are not counted: each of them is loaded before the module anyway.
    """
    modules = set()
    for statement in iter_imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            modules |= {alias.name for alias in statement.names}
        else:
            assert statement.module is not None, f"{path}: a relative import"
            assert not statement.level, f"{path}: a relative import"
            for alias in statement.names:
                module = f"{statement.module}.{alias.name}"
                modules.add(module if module in MODULES else statement.module)
    return modules & MODULES.keys()


def test_files_are_neither_tiny_nor_huge() -> None:
    lines = {name: count_lines(path) for name, path in FILES.items()}
    small = {
        name: count
        for name, count in lines.items()
        if count < MIN_LINES and not name.endswith("__init__.py") and name != "_typing.py"
    }
    assert small == {}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_the_package_has_few_files() -> None:
    """Package faces (``__init__.py``) are not counted: they are a line or two for each folder."""
    assert len([name for name in FILES if not name.endswith("__init__.py")]) <= MAX_MODULES


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = nx.DiGraph({name: imported_modules(path) for name, path in MODULES.items()})
    cycles = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    assert cycles == []
    assert list(nx.selfloop_edges(graph)) == []


def test_no_function_is_named_like_its_module() -> None:
    alike = [
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == module.rpartition(".")[2]
    ]
    assert alike == []


def test_no_package_exports_a_function_named_like_one_of_its_modules() -> None:
    """Else ``import package.module as m`` gives the function."""
    hidden = []
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            continue
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.ImportFrom):
                hidden += [
                    f"{module}.{alias.asname or alias.name}"
                    for alias in statement.names
                    if f"{module}.{alias.asname or alias.name}" in MODULES
                    and f"{statement.module}.{alias.name}" not in MODULES
                ]
    assert hidden == []
