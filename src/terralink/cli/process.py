"""What a command does to its own process: signals, memory of the C library, stdout and stderr.

The library leaves its process as it is; only commands call this. Other C libraries than glibc are
left alone.
"""

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# names and numbers of malloc.h
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def treat_stop_as_ctrl_c() -> None:
    """Handle a scheduler's request to stop (SIGTERM) as Ctrl-C: partial files are removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def discard_stdout() -> None:
    """Write nothing more to stdout, because its reader has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def keep_freed_memory() -> None:
    """Keep what is freed: a step of training wants it again, and fresh pages cost 10 to 20%."""
    _ask(_MMAP_MAX, 0)
    _ask(_TRIM_THRESHOLD, 2**31 - 1)


def use_one_arena() -> None:
    """Let threads take memory from one place, before they begin.

    Else what one of them frees, a tile say, waits for it alone: some 70 MB when a scene streams.
    """
    _ask(_ARENA_MAX, 1)


def _ask(name: int, value: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(name, value)


@contextmanager
def silence_c_libraries() -> Iterator[None]:
    """Send what C libraries print past Python nowhere while the block runs."""
    sys.stderr.flush()
    ours, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    python_side = sys.stderr
    os.dup2(nowhere, 2)
    try:
        with os.fdopen(os.dup(ours), "w", buffering=1) as stderr:
            if python_side is sys.__stderr__:
                sys.stderr = stderr
            yield
    finally:
        sys.stderr = python_side
        os.dup2(ours, 2)
        os.close(ours)
        os.close(nowhere)
