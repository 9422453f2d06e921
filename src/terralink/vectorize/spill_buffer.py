"""What is kept of a scene until it is whole: put away in order, out of memory when it is much."""

import weakref
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile, gettempdir

from terralink.errors import OutputError

_IN_MEMORY_BYTES = 8 << 20  # the files of small scenes need not be


class Shelf:
    """A list of bytes; what is past some megabytes lies in a file without a name, gone in the end.

    >>> shelf = Shelf()
    >>> shelf.put(b"first")
    >>> shelf.put(b"second")
    >>> [bytes(each) for each in shelf], shelf[0]
    ([b'first', b'second'], b'first')
    """

    def __init__(self, in_memory_bytes: int = _IN_MEMORY_BYTES) -> None:
        self._file = SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115
        self._starts = [0]
        weakref.finalize(self, self._file.close)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def put(self, data: bytes) -> None:
        """Put it behind the others; raises ``OutputError`` when the disk is full."""
        try:
            self._file.seek(self._starts[-1])
            self._file.write(data)
        except OSError as error:
            raise OutputError(
                f"no room in {gettempdir()} for what is kept of the scene until it is whole: "
                f"{error.strerror}; set TMPDIR to a folder on a larger disk"
            ) from error
        self._starts.append(self._starts[-1] + len(data))

    def __getitem__(self, number: int) -> bytes:
        start, stop = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        return self._file.read(stop - start)
