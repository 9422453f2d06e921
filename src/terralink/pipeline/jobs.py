"""Jobs: long work on a scene that can be killed at any moment and goes on where it was.

    JOB/job.json           what is made of what: model, scene, settings; and the results, when whole
    JOB/bands/000012.npz   a band of probability, under this name once it is whole
    JOB/lock               held while somebody merges the bands

RULE 1: a band is there whole or not at all; its file carries a checksum. RULE 2: a band is the same
pixels whoever makes it, so it does no harm to make it twice. RULE 3: the bands go when the results
are whole; job.json stays, and a second start has nothing left to do. What is done is told by the
files alone, so any number of machines can share a job without a word between them. RULE 4: what can
change a band or the results is in job.json, and a job that differs in any of it is refused.
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
from terralink.inference.backends.openvino_graph import LEVELS
from terralink.inference.tile_plan import Walk
from terralink.raster.masked_source import Block


@dataclass(frozen=True, eq=False)
class Job:
    """The bands of one scene, in a folder; made by ``opened``."""

    folder: Path
    model: inference.Predictor
    scene: raster.Scene
    tta: bool

    def bands(self) -> Iterator[raster.Raster]:
        """All bands from top to bottom: those that are there from disk, the others made and kept.

        Where some are there, the others are made by a thread while those are used, and wait on
        disk: so every start gets on, also one that is killed before it is where the last one was.
        Raises ``OutputError`` when the disk is full; what was kept stays.
        """
        missing = [list(run) for there, run in groupby(range(self.count), self.has) if not there]
        if missing and len(missing[0]) == self.count:
            yield from self.made(0, self.count)
            return
        with closing(_Maker()) as maker:
            coming = {
                number: future
                for run in missing
                for number, future in zip(
                    run, maker.each(self.made(run[0], run[-1] + 1), len(run)), strict=True
                )
            }
            row = 0
            for number in range(self.count):
                if number in coming:
                    coming[number].result()
                band = self._kept(number, row)
                # A disk or a machine without power can spoil what was whole.
                for whole in [band] if band else maker.all(self.made(number, number + 1)):
                    row += whole.grid.height
                    yield whole

    def made(self, first: int, stop: int) -> Generator[raster.Raster, None, None]:
        """Make the bands from ``first`` up to ``stop``, there or not, and keep each."""
        coming = inference.bands(self.model, self.scene, tta=self.tta, first=first, stop=stop)
        for number, band in enumerate(coming, first):
            _write(self._path(number), band, self.scene.corrupt_blocks)
            yield band

    def has(self, number: int) -> bool:
        """Whether that band is there."""
        return self._path(number).exists()

    @property
    def count(self) -> int:
        """How many bands the scene has."""
        return inference.band_count(self.model, self.scene)

    def finished(self, results: Sequence[str | os.PathLike[str]]) -> bool:
        """Whether these results were made of this job and are still as they were."""
        told = json.loads((self.folder / "job.json").read_text())["results"]
        return told is not None and told == _sizes(results)

    def finish(self, results: Sequence[str | os.PathLike[str]]) -> None:
        """Remember that the results are whole; the bands go."""
        told = json.loads((self.folder / "job.json").read_text())
        _write_json(self.folder / "job.json", told | {"results": _sizes(results)})
        self.sweep()

    def sweep(self) -> None:
        """The bands go."""
        shutil.rmtree(self.folder / "bands", ignore_errors=True)

    def _kept(self, number: int, row: int) -> raster.Raster | None:
        """The band that starts at ``row``, from disk; None when it is spoilt."""
        grid = Walk.through(self.scene.grid, self.model.metadata).grid
        band, lost = _read(self._path(number), row, grid) or (None, ())
        self.scene.mask_blocks(lost)
        return band

    def _path(self, number: int) -> Path:
        return self.folder / "bands" / f"{number:06}.npz"


class _Maker:
    """A thread that makes bands one after another: a scene is for one thread at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bands")
        self._begun: list[Generator[raster.Raster, None, None]] = []

    def each(self, bands: Generator[raster.Raster, None, None], count: int) -> "list[Future[None]]":
        """A future for each of the bands; it does not hold the band, which is on disk."""
        self._begun.append(bands)
        return [self._thread.submit(_forget, bands) for _ in range(count)]

    def all(self, bands: Iterator[raster.Raster]) -> list[raster.Raster]:
        """The bands, after all that were asked for before."""
        return self._thread.submit(list[raster.Raster], bands).result()

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)
        for bands in self._begun:
            bands.close()


def _forget(bands: Iterator[raster.Raster]) -> None:
    next(bands)


def opened(
    folder: str | os.PathLike[str],
    model: inference.Predictor,
    scene: raster.Scene,
    *,
    tta: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Job:
    """The job in ``folder``, or a new one. ``settings`` are what else makes the results.

    Raises ``InputError`` when the folder is the job of another model, scene or setting.
    """
    scene = inference.fitted(model, scene)
    manifest, wanted = Path(folder) / "job.json", _identity(model, scene, tta, settings or {})
    if not manifest.exists():
        if any(not path.name.startswith(".") for path in Path(folder).glob("*")):
            raise InputError(f"{folder} is a folder of other things; name a new one with --job")
        _write_json(manifest, wanted | {"results": None})
    _check_same(manifest, wanted)
    return Job(Path(folder), model, scene, tta)


@contextmanager
def alone(job: Job, results: Sequence[str | os.PathLike[str]]) -> Iterator[None]:
    """Nobody else merges the job meanwhile; what a killed one left is removed.

    That is what lies half-written beside the results, and bands when those are whole. Raises
    ``OutputError`` when somebody does, or the folder cannot be written.
    """
    with _opened_lock(job.folder / "lock") as lock:  # gone with its process, however that ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(f"{job.folder} is being worked on; wait for it to end") from None
        for path in (*results, job.folder / "job.json"):
            remove_stale(path)
        if job.finished(results):
            job.sweep()
        yield


def _opened_lock(path: Path) -> TextIO:
    try:
        return path.open("w")
    except OSError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}; mend that, or name another folder with --job"
        ) from error


def _identity(
    model: inference.Predictor, scene: raster.Scene, tta: bool, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the results depend on, as JSON."""
    plane = Walk.through(scene.grid, model.metadata).plane
    told: dict[str, Any] = {
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
    plain: dict[str, Any] = json.loads(json.dumps(told))  # tuples are lists in what is read back
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
    """Where it is and how it lies on the ground, and the files that it is made of."""
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


def _check_same(manifest: Path, wanted: Mapping[str, Any]) -> None:
    try:
        told = json.loads(manifest.read_text())
        there = {name: value for name, value in told.items() if name != "results"}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{manifest} cannot be read: {error}; remove its folder") from error
    begun, come = _flat(there), _flat(wanted)
    for name in {**come, **begun}:
        if begun.get(name) != come.get(name):
            raise InputError(
                f"{manifest.parent} is a job with {name} {_short(begun.get(name))}, not "
                f"{_short(come.get(name))}; name another folder with --job, or remove it"
            )


def _flat(told: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """
    >>> _flat({"scene": {"bytes": 7}, "count": 1})
    {'scene bytes': 7, 'count': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in told.items():
        flat |= (
            _flat(value, f"{above}{name} ") if isinstance(value, dict) else {above + name: value}
        )
    return flat


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sizes(results: Sequence[str | os.PathLike[str]]) -> dict[str, int | None]:
    paths = [Path(result).resolve() for result in results]
    return {str(path): path.stat().st_size if path.exists() else None for path in paths}


def _write_json(path: Path, told: Mapping[str, Any]) -> None:
    with write_atomically(path, option="--job") as part:
        part.write_text(json.dumps(told, indent=1))


def _write(path: Path, band: raster.Raster, lost: Sequence[Block]) -> None:
    arrays = {"levels": band.array}
    if lost:
        arrays["lost"] = np.array(lost)
    if band.valid is not None:
        arrays["valid"] = np.packbits(band.valid, axis=1)
    # What np.savez_compressed does, but in a fraction of the time.
    deflated = zipfile.ZIP_DEFLATED
    with (
        write_atomically(path, option="--job") as part,
        zipfile.ZipFile(part, "w", deflated, compresslevel=1) as pack,
    ):
        for name, array in arrays.items():
            with pack.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _read(path: Path, row: int, grid: raster.Grid) -> tuple[raster.Raster, list[Block]] | None:
    """The band that starts at ``row`` of the grid, and what its maker could not read of the scene.

    None when its file is spoilt or gone.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as pack:  # checks CRCs
            levels, bits, lost = pack["levels"], pack.get("valid"), pack.get("lost")
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None
    place = grid.window(row, 0, levels.shape[-2:])
    valid = None if bits is None else np.unpackbits(bits, axis=1, count=grid.width).astype(bool)
    blocks = [] if lost is None else [(tuple(rows), tuple(cols)) for rows, cols in lost.tolist()]
    return raster.Raster(levels, place, valid, 1 / LEVELS), blocks
