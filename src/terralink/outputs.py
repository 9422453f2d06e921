"""Checks of output files: a command never overwrites an input, nor files of other programs.

RULE 1: an output is never an input, whatever the names: a link to it, another spelling, a file
inside a VRT or in a virtual name of GDAL. Nor is it a file that counts as a part of an input, such
as its mask or world file. RULE 2: an existing file is replaced when terralink wrote it, which its
mark tells (``atomic_write.MARK``), when it is empty, or when the user allows it. RULE 3: layers
that other programs put into a GeoPackage of terralink are kept (``keep_others``).
"""

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from terralink.atomic_write import (
    MARK,
    check_readable_name,
    database_error,
    is_sqlite,
    list_sidecars,
)
from terralink.errors import OutputError

_END_BYTES = 1 << 16  # at the beginning and the end of a file, where its mark is
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Marks of formats with a field for the generator, and of files from before there was a mark
_OLDER_MARKS = (b'generator="terralink"', b"\nlibrary_name: terralink\n", b"\n\tterralink\x12")
CHECKPOINT = ("model.safetensors", "config.json", "README.md")
# The table of the EPFL challenge has no field for a mark; it is recognised by its form
_SUBMISSION = re.compile(rb"id,prediction\n(\d{3}_\d+_\d+,[01]\n)+")
_STYLE = "of terralink"  # the description of our rows in the style table of a GeoPackage
_VIRTUAL = re.compile(r"/vsi\w+/|[!\",?:]")
_allowed: set[str] = set()  # files of other programs that the user lets this process replace


def check_outputs(
    outputs: Iterable[str | os.PathLike[str]],
    inputs: Iterable[str | os.PathLike[str]],
    *,
    overwrite: bool = False,
    option: str = "--out",
) -> None:
    """Raise ``OutputError`` for an output that must not be written; call it before any work.

    ``inputs`` are files, folders (in them, only files of other programs count) and names that GDAL
    reads. With ``overwrite`` the user, who gave the outputs with ``option``, allows that files of
    other programs are replaced.
    """
    paths = [Path(output) for output in outputs]
    check_not_inputs(paths, inputs, option=option)
    for output in paths:
        check_readable_name(output)
        if os.fspath(output).startswith("/vsi"):
            raise OutputError(f"cannot write {output}: give a local file with {option}")
        if output.exists():
            _check_replaceable(output, overwrite=overwrite, option=option)


def check_not_inputs(
    outputs: Iterable[str | os.PathLike[str]],
    inputs: Iterable[str | os.PathLike[str]],
    *,
    option: str = "--out",
) -> None:
    """Raise ``OutputError`` for an output that is an input, or a part of one."""
    known = [each for name in inputs for each in files_named(name)]
    for output in map(Path, outputs):
        for source in known:
            if reason := _describe_overlap(output, source):
                raise OutputError(
                    f"{output} is {reason} of this command, and would be lost; choose another "
                    f"path with {option}"
                )


def allow_replacing(path: str | os.PathLike[str]) -> None:
    """Let this process replace a file of another program, and its layers."""
    _allowed.add(os.path.realpath(path))


def files_named(name: str | os.PathLike[str]) -> Iterator[Path]:
    """The local files and folders in a name such as ``/vsizip/a.zip/b.tif``.

    >>> list(files_named("https://example.org/a.tif"))
    []
    """
    if os.path.lexists(name):
        yield Path(name)
        return
    for part in _VIRTUAL.split(os.fspath(name)):
        for spelling in {part, part.lstrip("/")} - {""}:
            for candidate in (Path(spelling), *Path(spelling).parents):
                if candidate.is_file():
                    yield candidate


def is_ours(path: Path) -> bool:
    """Whether terralink wrote a file, by its mark."""
    with path.open("rb") as file:
        begin = file.read(_END_BYTES)
        file.seek(max(0, path.stat().st_size - _END_BYTES))
        end = file.read()
    if is_sqlite(path):
        return _has_layers_of_ours(path)
    if begin.startswith(_TIFF):
        return _tiff_is_ours(path)
    if path.name in CHECKPOINT:
        readme = path.with_name("README.md")
        begin = readme.read_bytes() if readme.is_file() else begin
    if any(mark in part for mark in (MARK.encode(), *_OLDER_MARKS) for part in (begin, end)):
        return True
    return _SUBMISSION.fullmatch(begin[: begin.rfind(b"\n") + 1]) is not None


def keep_others(old: str | os.PathLike[str], new: Path, names: Iterable[str]) -> None:
    """Start the GeoPackage ``new`` with the layers, tables and styles of other programs in ``old``.

    Without any, ``new`` is not created. Raises ``OutputError`` where one of those layers has one of
    the ``names`` that are to be written.
    """
    if not is_sqlite(Path(old)):
        return
    try:
        with closing(sqlite3.connect(old)) as base:
            ours, others, styled = _tables(base)
            taken = sorted(others & set(names))
            if taken and os.path.realpath(old) not in _allowed:
                raise OutputError(
                    f"{old} has a layer {taken[0]!r} that terralink did not write; rename it, or "
                    "choose another path with --out"
                )
            if not others.difference(taken) and not styled:
                return
            with closing(sqlite3.connect(new)) as copy, copy:
                base.backup(copy)
                for table in ours.union(taken):
                    _drop(copy, table)
    except sqlite3.Error as error:
        raise database_error(old, error) from error


def _describe_overlap(output: Path, source: Path) -> str | None:
    """How an output is, or belongs to, an input; else None."""
    files_above = (each for each in output.parents if each.is_file())
    if any(_same(each, source) for each in (output, *files_above)):
        return "an input"
    if source.is_dir():
        is_input = output.is_file() and _is_in(output, source) and not is_ours(output)
        return f"in {source}, an input" if is_input else None
    parts = list_sidecars(os.path.realpath(source)) + list_sidecars(source.absolute())
    if any(_same(output, part) for part in parts):
        return f"a part of {source}, an input"
    if any(_same(source, part) for part in list_sidecars(os.path.realpath(output))):
        return f"the file that {source}, an input, is a part of"
    return None


def _same(one: Path, other: Path) -> bool:
    """Whether both names mean one file, existing or not."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other)


def _is_in(output: Path, folder: Path) -> bool:
    """Whether an existing file is in a folder, under any name."""
    status = output.stat()
    return any(
        os.path.samestat(status, (Path(root) / name).stat())
        for root, _, names in os.walk(folder)
        for name in names
        if (Path(root) / name).exists()
    )


def _check_replaceable(output: Path, *, overwrite: bool, option: str) -> None:
    if output.is_dir():
        raise OutputError(f"cannot write {output}: it is a folder; give a file with {option}")
    if not output.is_file():
        raise OutputError(f"cannot write {output}: it is no regular file; give one with {option}")
    if output.stat().st_size == 0:
        return
    if overwrite:
        allow_replacing(output)
    elif not is_ours(output):
        raise OutputError(
            f"{output} exists, and terralink did not write it; choose another path with "
            f"{option}, or replace it with --overwrite"
        )
    if is_sqlite(output):
        _check_unlocked(output)


def _check_unlocked(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=1.0, isolation_level=None)) as base:
            base.execute("BEGIN IMMEDIATE")
            base.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise database_error(path, error) from error


def _tiff_is_ours(path: Path) -> bool:
    """Older files have a tag of the model or, for labels, of the classes."""
    import warnings

    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path.absolute()) as dataset:
                tags = dataset.tags()
    except RasterioError:
        return False
    labelled = tags.get("classes", "").startswith('{"')
    return MARK in tags.get("TIFFTAG_SOFTWARE", "") or "TERRALINK_MODEL" in tags or labelled


def _has_layers_of_ours(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as base:
            return bool(_tables(base)[0])
    except sqlite3.Error:
        return False


def _tables(base: sqlite3.Connection) -> tuple[set[str], set[str], bool]:
    """Our layers, the tables and layers of other programs, and whether those have styles."""
    present = _column(base, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    ours = set[str]()
    if "gpkg_contents" in present:
        ours = _column(
            base, f"SELECT table_name FROM gpkg_contents WHERE description LIKE '{MARK}%'"
        )
    styled = False
    if "layer_styles" in present:
        styled = bool(
            _column(base, f"SELECT id FROM layer_styles WHERE description IS NOT '{_STYLE}'")
        )
        if not ours:  # before layers had the mark, each had a style of terralink
            ours = _column(
                base, f"SELECT f_table_name FROM layer_styles WHERE description = '{_STYLE}'"
            )
    system = ("gpkg_", "rtree_", "sqlite_", "ogr_empty_table", "layer_styles")
    others = {name for name in present if not name.startswith(system)} - ours
    return ours & present, others, styled


def _column(base: sqlite3.Connection, query: str) -> set[str]:
    return {value for (value,) in base.execute(query)}


def _drop(base: sqlite3.Connection, table: str) -> None:
    """Remove a layer from a GeoPackage, with its index, its metadata and our style."""
    present = _column(base, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    for index in [name for name in present if name.startswith(f"rtree_{table}_")]:
        if index.count("_", len(f"rtree_{table}_")) == 0:  # the others are its own tables
            base.execute(f'DROP TABLE "{index}"')
    kind = (
        "VIEW"
        if _column(base, "SELECT name FROM sqlite_master WHERE type = 'view'") & {table}
        else "TABLE"
    )
    base.execute(f'DROP {kind} "{table}"')
    for listing in (
        "gpkg_geometry_columns",
        "gpkg_extensions",
        "gpkg_ogr_contents",
        "gpkg_metadata_reference",
        "gpkg_contents",
    ):
        if listing in present:
            base.execute(f"DELETE FROM {listing} WHERE table_name = ?", [table])
    if "layer_styles" in present:
        base.execute(
            "DELETE FROM layer_styles WHERE f_table_name = ? AND description = ?", [table, _STYLE]
        )
