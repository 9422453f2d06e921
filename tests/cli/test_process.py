"""What the C library is asked is done."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is asked")

# Each thread takes some memory while the others hold theirs; glibc tells its arenas on stderr.
ARENAS = """
import ctypes, threading
from terralink.cli import process

{asked}
here = threading.Barrier(3)

def work():
    held = bytes(100_000)
    here.wait()

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize(("asked", "one"), [("", False), ("process.use_one_arena()", True)])
def test_threads_share_one_arena_where_that_is_asked(asked: str, one: bool) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ARENAS.format(asked=asked)],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert (told.count("Arena ") == 1) == one
