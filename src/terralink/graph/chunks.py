"""Some thousand rows at a time: what is held meanwhile is small, however many rows there are."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = TypeVar("Kind", bound=np.generic)

CHUNK_ROWS = 8192


def spans(count: int, rows: int = CHUNK_ROWS) -> Iterator[slice]:
    """Slices that cover ``count`` rows in order; one, of nothing, where there are none.

    >>> [(span.start, span.stop) for span in spans(5, rows=2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    return (slice(at, min(at + rows, count)) for at in range(0, max(count, 1), rows))


def by_chunks(
    work: Callable[..., NDArray[Kind]], *columns: Any, rows: int = CHUNK_ROWS
) -> NDArray[Kind]:
    """``work(*columns)`` done on some thousand rows of all columns at a time.

    Columns are what has a length and gives a part of itself for a slice. The result has a row for
    each of theirs.
    """
    parts = spans(len(columns[0]), rows)
    return np.concatenate([work(*(column[part] for column in columns)) for part in parts])
