"""What verbs ask of the C library's memory; a library leaves its process as it is.

Other C libraries than glibc are asked nothing.
"""

import ctypes
import platform

# names and numbers of malloc.h
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed() -> None:
    """Keep what is freed: a step of training wants it again, and fresh pages cost 10 to 20%."""
    _ask(_MMAP_MAX, 0)
    _ask(_TRIM_THRESHOLD, 2**31 - 1)


def share_freed() -> None:
    """Let threads take memory from one place, before they begin.

    Else what one of them frees, a tile say, waits for it alone: some 70 MB when a scene streams.
    """
    _ask(_ARENA_MAX, 1)


def _ask(name: int, value: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(name, value)
