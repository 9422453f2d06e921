"""Results are written in a hidden folder and moved to their name when they are complete.

    maps/.town.gpkg.3f2a91c0.draft1/result.gpkg  ->  maps/town.gpkg

RULE 1: a draft folder belongs to a process as long as that holds a lock on it; the folder of a
killed process is removed when the same result is written again. RULE 2: a link stays a link, and
its target is replaced. RULE 3: files that count as a part of a result (``list_sidecars``) are
removed with it. RULE 4: an existing database is not replaced but rewritten through SQLite, which
knows which programs have it open. RULE 5: the name of an existing file means that file, whatever
its characters.
"""

import errno
import hashlib
import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

from terralink.errors import InputError, OutputError

if sys.platform != "win32":
    import fcntl

# Every result has this mark where its format allows one: a later run may replace marked files.
MARK = "written by terralink"

_SQLITE = b"SQLite format 3\0"
_SQLITE_SUFFIXES = ("-wal", "-shm", "-journal")
_PICTURES = (
    ".tif",
    ".tiff",
    ".png",
    ".jpg",
    ".jpeg",
    ".jp2",
    ".webp",
    ".gif",
    ".bmp",
    ".vrt",
)
# Formats of several files, which readers find by their common stem
_MULTI_FILE_SUFFIXES = (".shp", ".shx", ".dbf", ".tab", ".mif", ".mid")
# Characters without a meaning to GDAL, to addresses of rasterio and pyogrio, and to SQLite
_PLAIN = re.compile(r"[\w /.,+=@()~-]*")
# Names that are not local files: addresses, virtual files of GDAL, subdatasets
_NO_FILE = re.compile(r"/vsi|[A-Za-z][\w+.-]*:", re.ASCII)
_MAX_DRAFTS = 8  # stale folders to look for: so many processes may have written at once
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_LOCKS = -1
_WAIT_S = 20.0  # for another program to finish writing to a database


@contextmanager
def write_atomically(path: str | os.PathLike[str], *, option: str = "--out") -> Iterator[Path]:
    """Yield a path to write to; without an error in the block it becomes ``path``.

    Neither an error, a full disk nor Ctrl-C leaves an incomplete file, and an older ``path`` is not
    changed until the new one is complete. The yielded path has the same suffix (drivers need it)
    and only plain characters, and does not exist yet. It may become a file or a folder. Other files
    that are written beside it are removed at the end.

    Raises ``OutputError`` when the folder, which the user gave with ``option``, cannot be written,
    the disk is full, or another program is writing to the file.
    """
    final = Path(os.path.realpath(path))
    try:
        check_readable_name(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        with _draft(final) as folder:
            suffix = final.suffix if _PLAIN.fullmatch(final.suffix) else ""
            part = folder / f"result{suffix}"
            yield part
            _publish(part, final)
    except OSError as error:
        raise _os_error(Path(path), error, option) from error


def remove_stale(path: str | os.PathLike[str]) -> None:
    """Remove the drafts of a result that killed processes left, but not those of running ones.

    >>> remove_stale("nowhere/map.gpkg")
    """
    final = Path(os.path.realpath(path))
    for number in range(1, _MAX_DRAFTS + 1):
        folder = draft_folder(final, number)
        lock = _lock(folder) if folder.is_dir() else None
        if lock is not None and lock != _NO_LOCKS:
            rmtree(folder, ignore_errors=True)
            os.close(lock)


def list_sidecars(path: str | os.PathLike[str]) -> list[Path]:
    """The names beside a file that GDAL and SQLite read as parts of it.

    >>> [each.name for each in list_sidecars("map.gpkg")][-3:]
    ['map.gpkg-wal', 'map.gpkg-shm', 'map.gpkg-journal']
    """
    main = Path(path)
    inner = ("", ".msk", ".ovr", ".msk.ovr", ".ovr.msk")
    outer = ("", ".aux.xml", ".aux")
    found = [Path(f"{main}{first}{last}") for first in inner for last in outer if first or last]
    suffix = main.suffix.lower()
    if suffix in _PICTURES:
        found += [main.with_suffix(world) for world in _world_suffixes(main)]
    if suffix in (".gpkg", ".sqlite", ".db"):
        found += [Path(f"{main}{ending}") for ending in _SQLITE_SUFFIXES]
    return found


def _world_suffixes(main: Path) -> list[str]:
    """The suffixes of world files of a picture; .wld may be that of another with the same stem."""
    letters = main.suffix[1:].lower()
    names = [f".{letters[0]}{letters[-1]}w", f".{letters}w"]
    others = (main.with_suffix(suffix) for suffix in _PICTURES if suffix != main.suffix.lower())
    names += [] if any(os.path.lexists(other) for other in others) else [".wld"]
    return [*names, *(name.upper() for name in names)]


def gdal_name(path: str | os.PathLike[str]) -> str | Path:
    """The path for rasterio: an existing file as that file, any other name as GDAL reads it.

    Raises ``InputError`` where a name is not text.

    >>> gdal_name("https://example.org/a.tif?key=1;2")
    'https://example.org/a.tif?key=1;2'
    """
    name = os.fspath(path)
    if not os.path.lexists(name):
        return name if _NO_FILE.match(name) else Path(name)
    check_readable_name(name)
    # a prefix of GDAL, such as GPKG:, must be at the beginning
    return Path(name) if _PLAIN.fullmatch(name) else Path(name).absolute()


@contextmanager
def plain_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to the same file or folder that each library reads as a path.

    pyogrio reads '!', ';' and '?' as parts of addresses, in any path. Raises ``InputError`` where a
    name is not text.
    """
    check_readable_name(path)
    main = Path(path).absolute()
    if _PLAIN.fullmatch(str(main)) and not _NO_FILE.match(str(main)):
        yield main
        return
    with TemporaryDirectory(prefix="terralink_") as folder:
        link = Path(folder) / f"data{main.suffix if _PLAIN.fullmatch(main.suffix) else ''}"
        link.symlink_to(main)
        if main.suffix.lower() in _MULTI_FILE_SUFFIXES:
            for other in main.parent.iterdir():
                if other.stem == main.stem and other.suffix != main.suffix:
                    link.with_suffix(other.suffix).symlink_to(other)
        yield link


def check_readable_name(path: str | os.PathLike[str]) -> None:
    """Raise ``InputError`` where a name is not UTF-8, which GDAL needs."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="replace")
        raise InputError(f"the name {shown} is not UTF-8; rename it") from None


def is_sqlite(path: Path) -> bool:
    """Whether a file is an SQLite database, such as a GeoPackage."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


@contextmanager
def _draft(final: Path) -> Iterator[Path]:
    """A folder for the draft, under a plain path, which is locked until the block ends."""
    folder, lock = _lock_folder(final)
    try:
        for stale in folder.iterdir():  # from a process that was killed
            _remove(stale)
        with plain_path(folder) as plain:
            yield plain
    finally:
        rmtree(folder, ignore_errors=True)
        if lock != _NO_LOCKS:
            os.close(lock)
        remove_stale(final)


def _lock_folder(final: Path) -> tuple[Path, int]:
    """The first folder that no running process has, and the lock on it."""
    for number in count(1):
        folder = draft_folder(final, number)
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        lock = _lock(folder)
        if lock is not None and (is_new or lock != _NO_LOCKS):
            return folder, lock
    raise AssertionError("unreachable")


def draft_folder(final: Path, number: int = 1) -> Path:
    """The folder in which a result is written; a process uses the first that is not locked."""
    name = re.sub(r"[^\w.-]", "_", final.name)[:32]
    name_hash = hashlib.sha256(final.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return final.with_name(f".{name}.{name_hash}.draft{number}")


def _lock(folder: Path) -> int | None:
    """A lock on a folder, to be closed; None where another process has it, or removed the folder.

    The system releases the lock when the process ends, also when it is killed. ``_NO_LOCKS`` where
    the file system, or the operating system, has no locks.
    """
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return _NO_LOCKS if folder.exists() else None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), folder.stat()):
            return lock
        result = None
    except (BlockingIOError, FileNotFoundError):
        result = None
    except OSError:
        result = _NO_LOCKS
    os.close(lock)
    return result


def _publish(part: Path, final: Path) -> None:
    if is_sqlite(part) and is_sqlite(final):
        if final.stat().st_nlink == 1:
            _rewrite_database(part, final)
            return
        _close_log(final)  # its other hard link, perhaps a backup, is not changed
    # the sidecars of the old file are moved away first, and restored where the move fails
    backup = part.with_name("replaced")
    backup.mkdir()
    moved = [old for old in list_sidecars(final) if os.path.lexists(old)]
    try:
        for old in moved:
            old.rename(backup / old.name)
        part.replace(final)
    except OSError:
        for old in moved:
            if (backup / old.name).exists():
                (backup / old.name).rename(old)
        raise


def _rewrite_database(part: Path, final: Path) -> None:
    """Copy a database into an existing one in one transaction, under the locks of SQLite.

    A new file in its place would be read with the log of the old one: programs that have it open,
    or were killed, keep ``-wal`` and ``-journal`` files beside it, under its name.
    """
    deadline = time.monotonic() + _WAIT_S

    def wait(status: int, _remaining: int, _total: int) -> None:
        if status in _BUSY and time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")

    try:
        with (
            closing(sqlite3.connect(part)) as new,
            closing(sqlite3.connect(final, timeout=_WAIT_S)) as old,
        ):
            new.backup(old, progress=wait)
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise database_error(final, error) from error


def _close_log(final: Path) -> None:
    """Write the log of a database into it; no other program may have it open."""
    try:
        with closing(sqlite3.connect(final, timeout=_WAIT_S)) as base:
            (mode,) = base.execute("PRAGMA journal_mode=DELETE").fetchone()
            if mode != "delete":
                raise sqlite3.OperationalError("database is locked")
    except sqlite3.Error as error:
        raise database_error(final, error) from error


def database_error(path: str | os.PathLike[str], error: sqlite3.Error) -> OutputError:
    """The error of SQLite on writing a database, as one line."""
    reason = str(error)
    if "readonly" in reason:
        return OutputError(f"cannot write {path}: it is read-only; choose another path with --out")
    if "locked" in reason:
        return OutputError(
            f"cannot write {path}: another program has it open and is writing to it; "
            "stop that (in QGIS: save the edits), or choose another path with --out"
        )
    if "full" in reason:
        return _disk_is_full(path)
    return OutputError(
        f"cannot write {path}: the existing file is damaged ({reason}); "
        "move it away, with its -wal and -journal files"
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _os_error(path: Path, error: OSError, option: str) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return _disk_is_full(path)
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {path}: {reason}; choose another path with {option}")


def _disk_is_full(path: str | os.PathLike[str]) -> OutputError:
    return OutputError(f"cannot write {path}: the disk is full; free some space and start again")
