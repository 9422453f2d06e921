"""What is put away comes back, from memory or from a file."""

import errno
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terralink.errors import OutputError
from terralink.vectorize.spill_buffer import Shelf


@given(st.lists(st.binary(max_size=9)), st.sampled_from([0, 1, 20, 10_000]))
def test_what_is_put_away_comes_back_in_order(given_bytes: list[bytes], in_memory: int) -> None:
    shelf = Shelf(in_memory)
    for each in given_bytes:
        shelf.put(each)
    assert list(shelf) == given_bytes
    assert len(shelf) == len(given_bytes)
    assert [shelf[i] for i in reversed(range(len(shelf)))] == given_bytes[::-1]


def test_more_can_be_put_away_after_some_was_looked_at() -> None:
    shelf = Shelf(0)
    shelf.put(b"first")
    assert shelf[0] == b"first"
    shelf.put(b"second")
    assert list(shelf) == [b"first", b"second"]


def test_a_full_disk_says_where_more_room_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, **_: Any) -> None: ...

        def seek(self, _: int) -> None: ...

        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    monkeypatch.setattr("terralink.vectorize.spill_buffer.SpooledTemporaryFile", Full)
    with pytest.raises(OutputError, match="No space left on device; set TMPDIR"):
        Shelf().put(b"much")
