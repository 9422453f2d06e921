"""Results are written beside their final name and moved there when they are whole."""

import errno
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from terralink.errors import OutputError

_MARK = 8  # characters by which two writers of one file are told apart


@contextmanager
def written_whole(path: str | os.PathLike[str], *, option: str = "--out") -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` when the block ends well, else it is gone.

    Neither an error, a full disk nor Ctrl-C leaves half a file, and an older ``path`` stays as it
    was until the new one is whole. The path that is yielded keeps the suffix (drivers choose by it)
    and does not exist yet; it may become a file or a folder.

    Raises ``OutputError`` when the folder, which the user named with ``option``, cannot be written
    or the disk is full.
    """
    final = Path(path)
    part = final.with_name(f".{final.stem}.{uuid.uuid4().hex[:_MARK]}{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _replace(part, final)
    except OSError as error:
        raise _told(final, error, option) from error
    finally:
        _remove(part)


def forget_parts(path: str | os.PathLike[str]) -> None:
    """Remove what a killed process left beside ``path``; only where no other is writing it.

    >>> forget_parts("nowhere/map.gpkg")
    """
    final = Path(path)
    for part in final.parent.glob(
        f".{glob.escape(final.stem)}.{'[0-9a-f]' * _MARK}{glob.escape(final.suffix)}*"
    ):
        _remove(part)


def _replace(part: Path, final: Path) -> None:
    if part.is_dir() and final.is_dir():
        shutil.rmtree(final)
    part.replace(final)


def _remove(part: Path) -> None:
    # GDAL and SQLite put files of their own beside the one they write.
    for leftover in part.parent.glob(glob.escape(part.name) + "*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _told(final: Path, error: OSError, option: str) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return OutputError(f"cannot write {final}: the disk is full; free some space, start again")
    reason = error.strerror or str(error)
    return OutputError(f"cannot write {final}: {reason}; choose another place with {option}")
