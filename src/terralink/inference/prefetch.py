"""Work that goes on while its last result is used: each stage of the engine has a thread.

The libraries that do the work (GDAL, OpenVINO, NumPy's loops) let go of Python's lock.
"""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
_END: Final = object()


def ahead(items: Iterable[Item], count: int) -> Generator[Item]:
    """The same items, of which up to ``count`` are made before they are asked for, by a thread.

    What is raised while an item is made is raised where the item is asked for. When the iterator
    is closed, the thread ends after the item that it is at.

    >>> list(ahead("road", 2))
    ['r', 'o', 'a', 'd']
    """
    source = iter(items)
    thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming = deque(thread.submit(next, source, _END) for _ in range(count))
        while True:
            item = coming.popleft().result()
            if item is _END:
                return
            coming.append(thread.submit(next, source, _END))
            yield item  # type: ignore[misc]  # mypy does not see that it is no longer _END
            del item  # it may be large, and would wait here for the next
    finally:
        thread.shutdown(cancel_futures=True)
