"""Results appear whole or not at all, and what lies beside them never spoils them."""

import errno
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from terralink import atomic_write
from terralink.atomic_write import (
    draft_folder,
    gdal_name,
    list_sidecars,
    plain_path,
    write_atomically,
)
from terralink.errors import InputError, OutputError
from terralink.raster import Grid, RasterWriter, read_raster

# Names that mean something to shells, globs, GDAL, rasterio, pyogrio or SQLite.
NAMES = pytest.mark.parametrize(
    "name",
    [
        "map.gpkg",
        "a[1] *.tif",
        "c;1.gpkg",
        "what?.gpkg",
        "x!y.gpkg",
        "50% of 'it'.gpkg",
        "GPKG:a:b.gpkg",
        "two\nlines.gpkg",
        "-leads.gpkg",
        "straße.gpkg",
        "d" * 250 + ".tif",
    ],
)


@NAMES
def test_a_block_that_ends_well_gives_the_file(tmp_path: Path, name: str) -> None:
    with write_atomically(tmp_path / "new" / name) as part:
        assert part.suffix == Path(name).suffix
        part.write_text("whole")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


@NAMES
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")

    def interrupted() -> None:
        with write_atomically(tmp_path / name) as part:
            part.write_text("half")
            part.with_name(part.name + "-journal").write_text("beside it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"), write_atomically(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(OutputError, match="cannot write"),
        write_atomically(tmp_path / "file" / "x"),
    ):
        pass


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_folder_with_something_in_it_is_never_replaced(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"cannot write .*mine"),
        write_atomically(tmp_path / "mine") as part,
    ):
        part.mkdir() if kind == "folder" else part.write_text("result")
    assert (tmp_path / "mine" / "work.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_one_and_its_target_is_written(tmp_path: Path, there: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "real.txt", tmp_path / "link.txt"
    if there:
        target.write_text("old")
    link.symlink_to(target)
    with write_atomically(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["real.txt"]


KILLED = """
import sys, time
from terralink.atomic_write import write_atomically
with write_atomically(sys.argv[1]) as part:
    part.write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def begun(path: Path) -> "subprocess.Popen[str]":
    """Another process that is writing a result."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_the_draft_of_a_killed_run_goes_with_the_next_and_that_of_a_living_one_stays(
    tmp_path: Path,
) -> None:
    out = tmp_path / "map.txt"
    with begun(out) as killed, begun(out) as living:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == 2
        with write_atomically(out) as part:
            part.write_text("whole")
        assert set(tmp_path.iterdir()) == {out, draft_folder(out, 2)}
        assert (draft_folder(out, 2) / "result.txt").read_text() == "half"
        living.kill()
    with write_atomically(out) as part:
        part.write_text("again")
    assert list(tmp_path.iterdir()) == [out]


def test_without_locks_drafts_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    out = tmp_path / "map.txt"
    draft_folder(out).mkdir()
    with write_atomically(out) as part:
        part.write_text("whole")
    assert set(tmp_path.iterdir()) == {out, draft_folder(out)}


GRID = Grid((4, 4), Affine(1, 0, 600000, 0, -1, 4000000), None)
BARE = Grid((4, 4), Affine.identity(), None)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("grid", [GRID, BARE])
def test_nothing_that_lies_beside_a_result_changes_how_it_is_read(
    tmp_path: Path, grid: Grid
) -> None:
    out = tmp_path / "prob.tif"
    pam = "<PAMDataset><Metadata><MDI key='STALE'>1</MDI></Metadata></PAMDataset>"
    for name in ("prob.tif.aux.xml", "prob.tif.msk.aux.xml"):
        (tmp_path / name).write_text(pam)
    for name in ("prob.tfw", "prob.tifw", "prob.wld", "prob.TFW"):
        (tmp_path / name).write_text("7\n0\n0\n-7\n1\n1\n")
    other = {"driver": "GTiff", "width": 4, "height": 4, "count": 1, "dtype": "uint8"}
    for name in ("prob.tif.msk", "prob.tif.ovr"):
        with rasterio.open(tmp_path / name, "w", **other) as dataset:
            dataset.write(np.zeros((1, 4, 4), np.uint8))
    with RasterWriter(out, grid) as writer:
        writer.write(0, 0, np.full((4, 4), 9, np.uint8))
    with rasterio.open(out) as dataset:
        assert [Path(name) for name in dataset.files] == [out]
        assert "STALE" not in dataset.tags()
    assert read_raster(out).grid.transform == grid.transform
    assert read_raster(out).valid is None
    assert list(tmp_path.iterdir()) == [out]


def test_the_world_file_of_another_picture_stays(tmp_path: Path) -> None:
    (tmp_path / "town.png").write_bytes(b"")
    (tmp_path / "town.wld").write_text("1\n0\n0\n-1\n0\n0\n")
    with write_atomically(tmp_path / "town.tif") as part:
        part.write_text("result")
    assert (tmp_path / "town.wld").exists()


def test_what_belongs_to_a_result_comes_back_where_the_new_one_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "prob.tif"
    out.write_text("old")
    (tmp_path / "prob.tif.ovr").write_text("old too")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with write_atomically(out) as part:
            part.write_text("new")
            monkeypatch.setattr(Path, "replace", full)

    with pytest.raises(OutputError, match="full"):
        write()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "prob.tif": "old",
        "prob.tif.ovr": "old too",
    }


def database(path: Path, text: str) -> None:
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("CREATE TABLE said (text)")
        base.execute("INSERT INTO said VALUES (?)", [text])


def said(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [text for (text,) in base.execute("SELECT text FROM said")]


def rewrite(path: Path, text: str = "new") -> None:
    with write_atomically(path) as part:
        database(part, text)


# Another program, such as QGIS, that has a database open; it can leave in the middle of a change.
HOLDS = """
import sqlite3, sys
path, mode, does = sys.argv[1:]
base = sqlite3.connect(path, isolation_level=None)
base.execute(f"PRAGMA journal_mode={mode}")
base.execute("PRAGMA wal_autocheckpoint=0")
if does == "wrote":
    base.execute("INSERT INTO said VALUES ('more')")
elif does == "writes":
    base.execute("BEGIN IMMEDIATE")
    base.execute("INSERT INTO said VALUES ('half')")
elif does == "spills":
    base.execute("PRAGMA cache_size=1")
    base.execute("BEGIN EXCLUSIVE")
    base.executemany("INSERT INTO said VALUES (?)", [("x" * 2000,)] * 200)
else:
    base.execute("SELECT text FROM said").fetchall()
print("open", flush=True)
if sys.stdin.readline():
    base.execute("COMMIT") if does in ("writes", "spills") else None
    print([text for (text,) in base.execute("SELECT text FROM said")], flush=True)
"""


def holder(path: Path, mode: str, does: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path), mode, does],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("does", ["reads", "wrote"])
def test_a_database_that_another_has_open_is_whole_for_both(
    tmp_path: Path, mode: str, does: str
) -> None:
    path = tmp_path / "map.gpkg"
    database(path, "old")
    with holder(path, mode, does) as other:
        rewrite(path)
        assert said(path) == ["new"]
        seen, _ = other.communicate("say\n")
    assert seen == "['new']\n"
    assert said(path) == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_that_another_is_changing_is_left_to_it(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_write, "_WAIT_S", 0.3)
    path = tmp_path / "map.gpkg"
    database(path, "old")
    with holder(path, mode, "writes") as other:
        with pytest.raises(OutputError, match=r"another program has it open.*--out"):
            rewrite(path)
        other.communicate("say\n")
    assert said(path) == ["old", "half"]


@pytest.mark.parametrize(
    ("mode", "does"), [("wal", "wrote"), ("wal", "spills"), ("delete", "spills")]
)
def test_what_a_killed_program_left_beside_a_database_is_gone(
    tmp_path: Path, mode: str, does: str
) -> None:
    path = tmp_path / "map.gpkg"
    database(path, "old")
    with holder(path, mode, does) as other:
        other.kill()
    assert len(list(tmp_path.iterdir())) > 1
    rewrite(path)
    assert said(path) == ["new"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("there", [True, False])
def test_files_of_no_database_beside_one_do_no_harm(
    tmp_path: Path, ending: str, there: bool
) -> None:
    path = tmp_path / "map.gpkg"
    if there:
        database(path, "old")
    Path(f"{path}{ending}").write_bytes(os.urandom(5000))
    rewrite(path)
    assert said(path) == ["new"]
    assert said(path) == ["new"]


def test_the_log_of_a_database_that_is_gone_is_not_read_into_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    database(path, "old")
    with holder(path, "wal", "wrote") as other:
        other.kill()
    path.unlink()
    assert Path(f"{path}-wal").stat().st_size > 0
    rewrite(path)
    assert said(path) == ["new"]


def test_another_name_of_a_database_keeps_what_it_had(tmp_path: Path) -> None:
    path, copy = tmp_path / "map.gpkg", tmp_path / "copy.gpkg"
    database(path, "old")
    copy.hardlink_to(path)
    rewrite(path)
    assert (said(path), said(copy)) == (["new"], ["old"])


def test_a_rewritten_database_keeps_no_pages_of_the_old_one(tmp_path: Path) -> None:
    path, fresh = tmp_path / "map.gpkg", tmp_path / "fresh.gpkg"
    database(path, "x" * 10**6)
    rewrite(path)
    rewrite(fresh)
    assert path.stat().st_size == fresh.stat().st_size


def test_an_address_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("https://host/a.tif?x=1", "/vsizip/a.zip/b.tif", "GPKG:a.gpkg:t", "s3://b/k.tif"):
        assert gdal_name(name) == name
    assert gdal_name("a;b.tif") == Path("a;b.tif")
    (tmp_path / "GPKG:a.gpkg:t").touch()
    assert gdal_name("GPKG:a.gpkg:t") == tmp_path / "GPKG:a.gpkg:t"


@NAMES
def test_a_plain_path_leads_to_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("it")
    with plain_path(tmp_path / name) as plain:
        assert not set(str(plain)) & set(";!?:*%\n")
        assert plain.read_text() == "it"
        assert plain.suffix == Path(name).suffix


def test_a_plain_path_has_all_files_of_a_data_set(tmp_path: Path) -> None:
    for suffix in (".shp", ".shx", ".dbf", ".prj"):
        (tmp_path / f"a;b{suffix}").write_text(suffix)
    (tmp_path / "other.dbf").touch()
    with plain_path(tmp_path / "a;b.shp") as plain:
        found = {path.suffix: path.read_text() for path in plain.parent.iterdir()}
    assert found == {suffix: suffix for suffix in (".shp", ".shx", ".dbf", ".prj")}


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.tif")
    Path(name).touch()
    with pytest.raises(InputError, match=r"caf.*\.tif is not UTF-8; rename it"):
        gdal_name(name)
    with pytest.raises(InputError, match="not UTF-8"), write_atomically(name):
        pass


def test_the_files_that_gdal_may_write_beside_a_raster_are_known() -> None:
    names = {path.name for path in list_sidecars("a/x.tif")}
    assert {"x.tif.aux.xml", "x.tif.msk", "x.tif.ovr", "x.tif.msk.ovr", "x.tfw"} <= names


def test_many_results_in_one_folder_cost_the_same_each(tmp_path: Path) -> None:
    started = time.perf_counter()
    for number in range(300):
        with write_atomically(tmp_path / f"{number}.txt") as part:
            part.touch()
    assert time.perf_counter() - started < 30
