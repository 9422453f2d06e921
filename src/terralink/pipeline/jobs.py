"""Jobs: long work on a scene that can be stopped at any moment and resumes where it was.

    JOB/job.json           what the results depend on (model, scene, settings), and, at the end,
                           the results
    JOB/bands/000012.npz   a band of probability; it has this name when it is complete
    JOB/lock               locked while a process merges the bands

RULE 1: a band is complete or missing; its file has a checksum. RULE 2: a band has the same pixels
whatever computes it, so computing it twice does no harm. RULE 3: the bands are removed when the
results are complete; job.json stays, and a second start has nothing left to do. The files alone say
what is done, so any number of machines can share a job without messages. RULE 4: job.json has
everything that can change a band or the results, and a job that differs in any of it is refused.
"""

import fcntl
import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from terralink import inference, raster
from terralink.atomic_write import remove_stale, write_atomically
from terralink.errors import InputError, OutputError
from terralink.inference.model import PROB_SCALE
from terralink.inference.tile_plan import TilePlan
from terralink.raster.masked_source import Block


@dataclass(frozen=True, eq=False)
class Job:
    """The bands of one scene, in a folder; ``open_job`` makes it."""

    folder: Path
    model: inference.Predictor
    scene: raster.Scene
    tta: bool

    def bands(self) -> Iterator[raster.Raster]:
        """All bands from top to bottom: those on disk are read, the others computed and stored.

        Where some are on disk, a thread computes the others while those are used, and stores them:
        so every start makes progress, also one that is stopped before it is where the last one
        was. Raises ``OutputError`` when the disk is full; what was stored stays.
        """
        missing = [
            list(run) for is_done, run in groupby(range(self.count), self.is_done) if not is_done
        ]
        if missing and len(missing[0]) == self.count:
            yield from self.compute(0, self.count)
            return
        with closing(_BandThread()) as thread:
            pending = {
                number: future
                for run in missing
                for number, future in zip(
                    run, thread.start(self.compute(run[0], run[-1] + 1), len(run)), strict=True
                )
            }
            row = 0
            for number in range(self.count):
                if number in pending:
                    pending[number].result()
                band = self._read(number, row)
                # A failing disk or a power cut can corrupt a file that was complete.
                for each in [band] if band else thread.run(self.compute(number, number + 1)):
                    row += each.grid.height
                    yield each

    def compute(self, first: int, stop: int) -> Generator[raster.Raster, None, None]:
        """Compute the bands from ``first`` up to ``stop``, on disk or not, and store each."""
        bands = inference.predict_bands(
            self.model, self.scene, tta=self.tta, first=first, stop=stop
        )
        for number, band in enumerate(bands, first):
            _write_band(self._path(number), band, self.scene.corrupt_blocks)
            yield band

    def is_done(self, number: int) -> bool:
        """Whether that band is on disk."""
        return self._path(number).exists()

    @property
    def count(self) -> int:
        """How many bands the scene has."""
        return inference.count_bands(self.model, self.scene)

    def is_finished(self, results: Sequence[str | os.PathLike[str]]) -> bool:
        """Whether this job made these results, and they have not changed since."""
        stored = json.loads((self.folder / "job.json").read_text())["results"]
        return stored is not None and stored == _sizes(results)

    def finish(self, results: Sequence[str | os.PathLike[str]]) -> None:
        """Store that the results are complete, and remove the bands."""
        manifest = json.loads((self.folder / "job.json").read_text())
        _write_json(self.folder / "job.json", manifest | {"results": _sizes(results)})
        self.clean_up()

    def clean_up(self) -> None:
        """Remove the bands."""
        shutil.rmtree(self.folder / "bands", ignore_errors=True)

    def _read(self, number: int, row: int) -> raster.Raster | None:
        """The band that starts at ``row``, from disk; None when its file is corrupt."""
        grid = TilePlan.create(self.scene.grid, self.model.metadata).grid
        band, corrupt_blocks = _read_band(self._path(number), row, grid) or (None, ())
        self.scene.mask_blocks(corrupt_blocks)
        return band

    def _path(self, number: int) -> Path:
        return self.folder / "bands" / f"{number:06}.npz"


class _BandThread:
    """One thread that computes bands in order: only one thread at a time may use a scene."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bands")
        self._started: list[Generator[raster.Raster, None, None]] = []

    def start(
        self, bands: Generator[raster.Raster, None, None], count: int
    ) -> "list[Future[None]]":
        """A future for each of the bands; it does not hold the band, which is on disk."""
        self._started.append(bands)
        return [self._thread.submit(_advance, bands) for _ in range(count)]

    def run(self, bands: Iterator[raster.Raster]) -> list[raster.Raster]:
        """The bands, after all that were started before."""
        return self._thread.submit(list[raster.Raster], bands).result()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        for bands in self._started:
            bands.close()


def _advance(bands: Iterator[raster.Raster]) -> None:
    next(bands)


def open_job(
    folder: str | os.PathLike[str],
    model: inference.Predictor,
    scene: raster.Scene,
    *,
    tta: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Job:
    """The job in ``folder``, or a new one; ``settings`` are what else the results depend on.

    Raises ``InputError`` when the folder is the job of another model, scene or setting.
    """
    scene = inference.conform_scene(model, scene)
    path, identity = Path(folder) / "job.json", _identity(model, scene, tta, settings or {})
    if not path.exists():
        if any(not other.name.startswith(".") for other in Path(folder).glob("*")):
            raise InputError(f"{folder} has other files in it; name a new folder with --job")
        _write_json(path, identity | {"results": None})
    _check_same(path, identity)
    return Job(Path(folder), model, scene, tta)


@contextmanager
def exclusive(job: Job, results: Sequence[str | os.PathLike[str]]) -> Iterator[None]:
    """Lock the job, and remove what a stopped process left.

    That is partly written files beside the results, and bands when the results are complete. Raises
    ``OutputError`` when another process has the lock, or the folder cannot be written.
    """
    with _open_lock(job.folder / "lock") as lock:  # released when its process ends, however it ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another process is working on {job.folder}; wait for it to end"
            ) from None
        for path in (*results, job.folder / "job.json"):
            remove_stale(path)
        if job.is_finished(results):
            job.clean_up()
        yield


def _open_lock(path: Path) -> TextIO:
    try:
        return path.open("w")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; make the folder writable, or name another "
            "with --job"
        ) from error


def _identity(
    model: inference.Predictor, scene: raster.Scene, tta: bool, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the results depend on, as JSON."""
    plane = TilePlan.create(scene.grid, model.metadata).plane
    identity: dict[str, Any] = {
        "terralink": version("terralink"),
        "model": {"sha256": _model_hash(model), "computed by": model.provider},
        "scene": _scene_identity(scene),
        "settings": {
            "bands": scene.bands,
            "stretch": asdict(scene.stretch),
            "no data": scene.no_data.to_json,
            "tta": tta,
            "tile_px": [plane.tile, plane.overlap_px, plane.border_px],
            **settings,
        },
        "count": plane.counts[0],
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))  # tuples become lists, as on disk
    return plain


def _model_hash(model: inference.Predictor) -> str:
    if isinstance(model, inference.Ensemble):
        parts = [
            f"{_model_hash(each)} {weight:.6f}"
            for each, weight in zip(model.models, model.weights, strict=True)
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    if isinstance(model, inference.Model):
        return " ".join(_file_hash(path, path.stat().st_mtime_ns) for path in model.files)
    return hashlib.sha256(model.metadata.model_dump_json().encode()).hexdigest()


@cache
def _file_hash(path: Path, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scene_identity(scene: raster.Scene) -> dict[str, Any]:
    """Its name, its grid, and the files that it is read from."""
    path, grid = Path(scene.path), scene.grid
    return {
        "path": str(path.resolve()) if path.exists() else scene.path,
        "shape": grid.shape,
        "transform": grid.transform[:6],
        "crs": grid.crs.to_wkt() if grid.crs else None,
        "dtype": scene.dtype.name,
        "area": None if scene.area is None else scene.area.sha256,
        **scene.fingerprint,
    }


def _check_same(path: Path, identity: Mapping[str, Any]) -> None:
    try:
        manifest = json.loads(path.read_text())
        stored = {name: value for name, value in manifest.items() if name != "results"}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}; remove its folder") from error
    old, new = _flat(stored), _flat(identity)
    for name in {**new, **old}:
        if old.get(name) != new.get(name):
            raise InputError(
                f"{path.parent} is a job with {name} {_short(old.get(name))}, not "
                f"{_short(new.get(name))}; name another folder with --job, or remove it"
            )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """
    >>> _flat({"scene": {"bytes": 7}, "count": 1})
    {'scene bytes': 7, 'count': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        is_nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name} ") if is_nested else {prefix + name: value}
    return flat


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sizes(results: Sequence[str | os.PathLike[str]]) -> dict[str, int | None]:
    paths = [Path(result).resolve() for result in results]
    return {str(path): path.stat().st_size if path.exists() else None for path in paths}


def _write_json(path: Path, record: Mapping[str, Any]) -> None:
    with write_atomically(path, option="--job") as part:
        part.write_text(json.dumps(record, indent=1))


def _write_band(path: Path, band: raster.Raster, corrupt_blocks: Sequence[Block]) -> None:
    arrays = {"levels": band.array}
    if corrupt_blocks:
        arrays["lost"] = np.array(corrupt_blocks)
    if band.valid is not None:
        arrays["valid"] = np.packbits(band.valid, axis=1)
    # The same file as np.savez_compressed writes, in a fraction of the time.
    deflated = zipfile.ZIP_DEFLATED
    with (
        write_atomically(path, option="--job") as part,
        zipfile.ZipFile(part, "w", deflated, compresslevel=1) as pack,
    ):
        for name, array in arrays.items():
            with pack.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read_band(path: Path, row: int, grid: raster.Grid) -> tuple[raster.Raster, list[Block]] | None:
    """The band that starts at ``row`` of the grid, and the corrupt blocks of the scene in it.

    None when the band's file is corrupt or missing.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as pack:  # checks CRCs
            values, bits, corrupt = pack["levels"], pack.get("valid"), pack.get("lost")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    window = grid.window(row, 0, values.shape[-2:])
    valid = None if bits is None else np.unpackbits(bits, axis=1, count=grid.width).astype(bool)
    blocks = (
        [] if corrupt is None else [(tuple(rows), tuple(cols)) for rows, cols in corrupt.tolist()]
    )
    return raster.Raster(values, window, valid, 1 / PROB_SCALE), blocks
