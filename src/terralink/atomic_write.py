"""Results are written in a folder of their own and moved to their name when they are whole.

    maps/.town.gpkg.3f2a91c0.draft1/result.gpkg  ->  maps/town.gpkg

RULE 1: a draft belongs to a process as long as that holds a lock on it; what a killed one left goes
when the same result is written again. RULE 2: a link stays a link, and its target is replaced.
RULE 3: files that count as a part of the result (``sidecars``) never outlive it. RULE 4: a database
that is there is not swapped but rewritten through SQLite, which knows who else has it open.
RULE 5: what names a file that is there means that file, whatever characters it has.
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

# What every result says of itself, as its form allows: so a later run knows what it may replace
MARK = "written by terralink"

_SQLITE = b"SQLite format 3\0"
_OF_SQLITE = ("-wal", "-shm", "-journal")
_PICTURES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".gif", ".bmp", ".vrt")
# One dataset of several files, which readers find by their common stem
_OF_SEVERAL_FILES = (".shp", ".shx", ".dbf", ".tab", ".mif", ".mid")
# Nothing in here means anything to GDAL, to rasterio's and pyogrio's addresses, or to SQLite
_PLAIN = re.compile(r"[\w /.,+=@()~-]*")
# What is no file of this machine: an address, GDAL's virtual files, a part of a data set
_NO_FILE = re.compile(r"/vsi|[A-Za-z][\w+.-]*:", re.ASCII)
_DRAFTS = 8  # of one result, that are looked for: as many processes may have written it at once
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_NO_LOCKS = -1
_WAIT_S = 20.0  # for another program to end what it writes to a database


@contextmanager
def write_atomically(path: str | os.PathLike[str], *, option: str = "--out") -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` when the block ends well, else it is gone.

    Neither an error, a full disk nor Ctrl-C leaves half a file, and an older ``path`` stays as it
    was until the new one is whole. The path that is yielded keeps the suffix (drivers choose by
    it), has only plain characters, and does not exist yet; it may become a file or a folder, and
    what else is written beside it goes in the end.

    Raises ``OutputError`` when the folder, which the user named with ``option``, cannot be written,
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
        raise _told(Path(path), error, option) from error


def remove_stale(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left of a result; the drafts of living ones stay.

    >>> remove_stale("nowhere/map.gpkg")
    """
    final = Path(os.path.realpath(path))
    for number in range(1, _DRAFTS + 1):
        folder = draft_folder(final, number)
        lock = _locked(folder) if folder.is_dir() else None
        if lock is not None and lock != _NO_LOCKS:
            rmtree(folder, ignore_errors=True)
            os.close(lock)


def sidecars(path: str | os.PathLike[str]) -> list[Path]:
    """The names beside a file that GDAL and SQLite read as if they were a part of it.

    >>> [each.name for each in sidecars("map.gpkg")][-3:]
    ['map.gpkg-wal', 'map.gpkg-shm', 'map.gpkg-journal']
    """
    main = Path(path)
    inner = ("", ".msk", ".ovr", ".msk.ovr", ".ovr.msk")
    outer = ("", ".aux.xml", ".aux")
    found = [Path(f"{main}{one}{other}") for one in inner for other in outer if one or other]
    suffix = main.suffix.lower()
    if suffix in _PICTURES:
        found += [main.with_suffix(world) for world in _world_suffixes(main)]
    if suffix in (".gpkg", ".sqlite", ".db"):
        found += [Path(f"{main}{ending}") for ending in _OF_SQLITE]
    return found


def _world_suffixes(main: Path) -> list[str]:
    """Of a picture's world file; .wld may be another's of the same stem, and then stays that's."""
    letters = main.suffix[1:].lower()
    names = [f".{letters[0]}{letters[-1]}w", f".{letters}w"]
    others = (main.with_suffix(suffix) for suffix in _PICTURES if suffix != main.suffix.lower())
    names += [] if any(os.path.lexists(other) for other in others) else [".wld"]
    return [*names, *(name.upper() for name in names)]


def gdal_name(path: str | os.PathLike[str]) -> str | Path:
    """What rasterio opens: a file that is there as that file, any other name as GDAL reads it.

    Raises ``InputError`` where a name is not text.

    >>> gdal_name("https://example.org/a.tif?key=1;2")
    'https://example.org/a.tif?key=1;2'
    """
    name = os.fspath(path)
    if not os.path.lexists(name):
        return name if _NO_FILE.match(name) else Path(name)
    check_readable_name(name)
    # GDAL looks for its prefixes, such as GPKG:, at the beginning
    return Path(name) if _PLAIN.fullmatch(name) else Path(name).absolute()


@contextmanager
def plain_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to the same file or folder that no library takes for anything else.

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
        if main.suffix.lower() in _OF_SEVERAL_FILES:
            for other in main.parent.iterdir():
                if other.stem == main.stem and other.suffix != main.suffix:
                    link.with_suffix(other.suffix).symlink_to(other)
        yield link


def check_readable_name(path: str | os.PathLike[str]) -> None:
    """Raise ``InputError`` where a name holds bytes that are no text: GDAL takes UTF-8 alone."""
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
    """A folder for the draft, under a plain path, that is this process's until the block ends."""
    folder, lock = _own_folder(final)
    try:
        for left in folder.iterdir():  # by a process that was killed
            _remove(left)
        with plain_path(folder) as plain:
            yield plain
    finally:
        rmtree(folder, ignore_errors=True)
        if lock != _NO_LOCKS:
            os.close(lock)
        remove_stale(final)


def _own_folder(final: Path) -> tuple[Path, int]:
    """The first folder that no living process has, and the lock on it."""
    for number in count(1):
        folder = draft_folder(final, number)
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        lock = _locked(folder)
        if lock is not None and (is_new or lock != _NO_LOCKS):
            return folder, lock
    raise AssertionError("numbers end")


def draft_folder(final: Path, number: int = 1) -> Path:
    """Where a result is written until it is whole; the first that no living process has counts."""
    shown = re.sub(r"[^\w.-]", "_", final.name)[:32]
    name_hash = hashlib.sha256(final.name.encode(errors="surrogateescape")).hexdigest()[:8]
    return final.with_name(f".{shown}.{name_hash}.draft{number}")


def _locked(folder: Path) -> int | None:
    """A lock on a folder, to be closed; None where another holds it, or removed the folder.

    The system gives it up when the process ends, however that ends. ``_NO_LOCKS`` where the file
    system, or the system, has none.
    """
    try:
        lock = os.open(folder, os.O_RDONLY)
    except OSError:
        return _NO_LOCKS if folder.exists() else None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), folder.stat()):
            return lock
        found = None
    except (BlockingIOError, FileNotFoundError):
        found = None
    except OSError:
        found = _NO_LOCKS
    os.close(lock)
    return found


def _publish(part: Path, final: Path) -> None:
    if is_sqlite(part) and is_sqlite(final):
        if final.stat().st_nlink == 1:
            _rewrite_database(part, final)
            return
        _close_log(final)  # its other name, a copy of the user's perhaps, stays as it was
    # The parts of the old one go before the new one comes, and come back where it cannot.
    aside = part.with_name("replaced")
    aside.mkdir()
    moved = [old for old in sidecars(final) if os.path.lexists(old)]
    try:
        for old in moved:
            old.rename(aside / old.name)
        part.replace(final)
    except OSError:
        for old in moved:
            if (aside / old.name).exists():
                (aside / old.name).rename(old)
        raise


def _rewrite_database(part: Path, final: Path) -> None:
    """Make one database a copy of another in one transaction, under the locks of all who have it.

    A new file in its place would meet the log of the old one: programs that have it open, and those
    that were killed, keep ``-wal`` and ``-journal`` beside it, by its name.
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
    """Bring a database in order, with nothing beside it; needs that no other has it open."""
    try:
        with closing(sqlite3.connect(final, timeout=_WAIT_S)) as base:
            (mode,) = base.execute("PRAGMA journal_mode=DELETE").fetchone()
            if mode != "delete":
                raise sqlite3.OperationalError("database is locked")
    except sqlite3.Error as error:
        raise database_error(final, error) from error


def database_error(path: str | os.PathLike[str], error: sqlite3.Error) -> OutputError:
    """What SQLite says of a database that is to be written, in one line."""
    reason = str(error)
    if "readonly" in reason:
        return OutputError(f"cannot write {path}: it is read-only; choose another place with --out")
    if "locked" in reason:
        return OutputError(
            f"cannot write {path}: another program has it open and is writing to it; "
            "end that (in QGIS: save the edits), or choose another place with --out"
        )
    if "full" in reason:
        return _disk_is_full(path)
    return OutputError(
        f"cannot write {path}: the file that is there is damaged ({reason}); "
        "move it away, with its -wal and -journal"
    )


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _told(path: Path, error: OSError, option: str) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return _disk_is_full(path)
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {path}: {reason}; choose another place with {option}")


def _disk_is_full(path: str | os.PathLike[str]) -> OutputError:
    return OutputError(f"cannot write {path}: the disk is full; free some space, start again")
