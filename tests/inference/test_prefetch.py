"""Work ahead of who asks: the same items, the same errors, and no thread that outlives it."""

import threading
from collections.abc import Iterator

import pytest

from terralink.inference.prefetch import ahead


def working() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_items_come_in_their_order_and_each_once() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([], 3)) == []


def test_no_more_are_made_than_were_allowed() -> None:
    made = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(10):
            made.release()
            yield number

    coming = ahead(items(), 2)
    next(coming)
    assert all(made.acquire(timeout=10) for _ in range(3))  # one was taken, two wait
    assert not made.acquire(timeout=0.05)
    coming.close()


def test_an_error_comes_where_its_item_is_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    coming = ahead(items(), 4)
    assert next(coming) == 1
    with pytest.raises(KeyError, match="gone"):
        next(coming)


def test_breaking_off_ends_the_thread() -> None:
    for _ in ahead(iter(int, 1), 2):  # without end
        break
    assert not working()
