"""Killed by SIGKILL again and again and started again: the same bytes as never killed?

    python benchmarks/survival.py [--side PX] [--kills N] [--ends STEP...] [--model MODEL]

A drawn town of that side goes through `terralink extract --job`. First nothing is killed: that
takes T, and the others are compared with what it made. Then each start is killed after a random
part of T, until N are; one that ends before is compared, and all is begun anew. Last, in a job of
its own for each, it is killed in the steps of its end: while GDAL copies the probability file,
before the map gets its name, and while the bands are removed. `same` is the probability file byte
by byte, the map but for the moments of writing that a GeoPackage notes, and that nothing else is
left.
"""

import argparse
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from scenes import draw_scene

# What the work calls at each step of its end, and how long after that it is killed.
_STEPS = {"copy": ("terralink.raster.writer._copy", 0.05),
          "map": ("terralink.vector.styles.write_styles", 0),
          "bands": ("shutil.rmtree", 0)}  # fmt: skip
_DYING = """
import os, pkgutil, signal, sys, threading
name, late_s = sys.argv.pop(1), float(sys.argv.pop(1))
where, _, what = name.rpartition(".")
module = pkgutil.resolve_name(where)
whole = getattr(module, what)
def dying(*given, **more):
    threading.Timer(late_s, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return whole(*given, **more)
setattr(module, what, dying)
"""
_MAIN = "import sys; from terralink.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Work:
    """A scene and the folder in which it is worked on."""

    scene: Path
    model: str
    folder: Path

    def start(self, step: str | None = None) -> "subprocess.Popen[bytes]":
        """Extract in a process of its own, which kills itself in that step."""
        dying = [] if step is None else [str(word) for word in _STEPS[step]]
        verb = ["extract", str(self.scene), "--model", self.model, "--out", str(self.maps)]
        code = _DYING + _MAIN if dying else _MAIN
        command = [sys.executable, "-c", code, *dying, *verb, "--job", str(self.folder / "job")]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def run(self) -> float:
        """To the end; the seconds it took."""
        started = perf_counter()
        if code := self.start().wait():
            raise SystemExit(f"extract ended with {code}")
        return perf_counter() - started

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def maps(self) -> Path:
        return self.folder / "maps"

    @property
    def job(self) -> Path:
        return self.folder / "job" / self.scene.stem

    @property
    def state(self) -> str:
        """Bands that are kept, and how many files lie half-written beside the results."""
        kept = len(list(self.job.glob("bands/[0-9]*.npz")))
        return f"{kept} | {len(list(self.maps.glob('.*')))}"

    def same_as(self, other: "Work") -> bool:
        names = {f"{self.scene.stem}.gpkg", f"{self.scene.stem}.prob.tif"}
        prob, gpkg = sorted(names, reverse=True)
        return (
            {path.name for path in self.maps.iterdir()} == names
            and (self.maps / prob).read_bytes() == (other.maps / prob).read_bytes()
            and content(self.maps / gpkg) == content(other.maps / gpkg)
            and {path.name for path in self.job.iterdir()} == {"job.json", "lock"}
            and json.loads((self.job / "job.json").read_text())["results"] is not None
        )


def content(gpkg: Path) -> list[str]:
    """Everything in a GeoPackage but the moments at which it was written."""
    with closing(sqlite3.connect(gpkg)) as base:
        return [re.sub(r"'\d{4}-\d\d-\d\dT[\d:.]+Z'", "'now'", row) for row in base.iterdump()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=12000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--ends", nargs="*", choices=_STEPS, default=list(_STEPS))
    parser.add_argument("--model", default="roads")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    print("| start | s | bands kept | half-written | same |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        scene = draw_scene(wanted.folder or Path(scratch), (wanted.side, wanted.side))
        whole, work = (Work(scene, wanted.model, Path(scratch) / name) for name in ("t", "w"))
        took_s = whole.run()
        print(f"| never killed | {took_s:.1f} | {whole.state} | |", flush=True)
        sames = [*_at_random(work, whole, took_s, wanted.kills, random.Random(wanted.seed))]
        sames += [_in_step(step, work, whole) for step in wanted.ends]
    if not all(sames):
        raise SystemExit("not the same bytes")


def _at_random(
    work: Work, whole: Work, took_s: float, kills: int, chance: random.Random
) -> list[bool]:
    """Kill that many starts after a random part of the time; whether each end was the same."""
    sames = []
    while kills:
        process, life_s = work.start(), chance.uniform(0, took_s)
        try:
            process.wait(life_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills -= 1
            print(f"| killed | {life_s:.1f} | {work.state} | |", flush=True)
        else:
            sames.append(_ended(work, whole, f"ended before {life_s:.1f} s"))
    return [*sames, _ended(work, whole, "started again")]


def _in_step(step: str, work: Work, whole: Work) -> bool:
    started = perf_counter()
    if work.start(step).wait() != -signal.SIGKILL:
        raise SystemExit(f"nothing was killed in the step {step}")
    print(f"| killed: {step} | {perf_counter() - started:.1f} | {work.state} | |", flush=True)
    return _ended(work, whole, "started again")


def _ended(work: Work, whole: Work, what: str) -> bool:
    """Run to the end (where it is not there yet), compare, and forget."""
    took_s = work.run()
    same = work.same_as(whole)
    print(f"| {what} | {took_s:.1f} | {work.state} | {'yes' if same else 'NO'} |", flush=True)
    work.forget()
    return same


if __name__ == "__main__":
    main()
