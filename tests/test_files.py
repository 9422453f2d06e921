"""Results appear whole or not at all."""

import errno
from pathlib import Path

import pytest

from terralink.errors import OutputError
from terralink.files import written_whole

# A name that means something to shells and globs, too.
NAMES = pytest.mark.parametrize("name", ["map.gpkg", "a[1] *.tif"])


@NAMES
def test_a_block_that_ends_well_gives_the_file(tmp_path: Path, name: str) -> None:
    with written_whole(tmp_path / "new" / name) as part:
        assert part.suffix == Path(name).suffix
        part.write_text("whole")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@NAMES
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")

    def interrupted() -> None:
        with written_whole(tmp_path / name) as part:
            part.write_text("half")
            part.with_name(part.name + "-journal").write_text("beside it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"), written_whole(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot write"), written_whole(tmp_path / "file" / "x"):
        pass
