"""More workers on scenes than one, and workers that are killed: how much faster, the same bytes?

    python benchmarks/cluster.py [--scenes N] [--side PX] [--tile-s S] [--model MODEL]
                                 [--workers N...] [--kill-every S] [--folder DIR]

Scenes of that side become maps by `cluster.run_tasks` on local processes: by 1 first, with which
the others are compared, then by more. In the last run the process of a worker, drawn by chance, is
killed every so often (0: there is no such run). Cores are the same for one worker and for many, so
in place of a network there is one that sleeps, S seconds a tile of 1,024 px (0.5: D-LinkNet34 in
bf16 on two cores), and returns its image, which is the bundled model's prediction of a drawn town.
All else is real work. `--model` takes a network that computes, with half of the cores for each
worker. Clocks start when the workers are up. Needs the extra 'cluster'.
"""

import argparse
import os
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Any

from scenes import SleepingModel, draw_predicted_scene, draw_scene
from survival import content

from terralink import raster
from terralink.pipeline import cluster
from terralink.pipeline.extract import prob_path


@dataclass(frozen=True)
class Work:
    """Maps to be made of one scene, again and again."""

    scene: Path
    count: int
    model: cluster.ModelSource
    scene_options: raster.SceneOptions

    def run(self, folder: Path, workers: int, kill_every_s: float = 0) -> tuple[float, int]:
        """Seconds, and how many workers were killed meanwhile."""
        tasks = [
            cluster.SceneTask(
                self.scene, folder / f"{i}.gpkg", folder / f"{i}", self.model, self.scene_options
            )
            for i in range(self.count)
        ]
        with cluster.connect(f"local:{workers}") as client:
            client.wait_for_workers(workers)
            started = perf_counter()
            with killing(client, kill_every_s) as killed:
                made = list(cluster.run_tasks(tasks, client))
            assert len(made) == self.count
            return perf_counter() - started, len(killed)

    def same(self, folder: Path, other: Path) -> bool:
        maps = [(folder / f"{i}.gpkg", other / f"{i}.gpkg") for i in range(self.count)]
        return all(
            content(ours) == content(theirs)
            and prob_path(ours).read_bytes() == prob_path(theirs).read_bytes()
            for ours, theirs in maps
        )


@contextmanager
def killing(client: Any, every_s: float) -> Iterator[list[int]]:
    """Kill a worker's process by SIGKILL every so often while the block runs."""
    killed: list[int] = []
    ended, chance = Event(), random.Random(0)

    def kill() -> None:
        while every_s and not ended.wait(every_s):
            there = [nanny.pid for nanny in client.cluster.workers.values() if nanny.pid]
            if there:
                killed.append(chance.choice(there))
                os.kill(killed[-1], signal.SIGKILL)

    killer = Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        ended.set()
        killer.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--side", type=int, default=7000)
    parser.add_argument("--tile-s", type=float, default=0.5)
    parser.add_argument("--model")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--kill-every", type=float, default=10)
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    print("| workers | killed | s | ratio | same |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        work = _work(wanted, wanted.folder or Path(scratch))
        first_s, first = 0.0, Path(scratch) / "0"
        runs = [(count, 0.0) for count in wanted.workers]
        runs += [(wanted.workers[-1], wanted.kill_every)] * bool(wanted.kill_every)
        for number, (workers, kill_every_s) in enumerate(runs):
            folder = Path(scratch) / str(number)
            took_s, killed = work.run(folder, workers, kill_every_s)
            first_s = first_s or took_s
            same = "yes" if work.same(folder, first) else "NO"
            print(
                f"| {workers} | {killed} | {took_s:.1f} | {first_s / took_s:.2f} | {same} |",
                flush=True,
            )


def _work(wanted: argparse.Namespace, folder: Path) -> Work:
    shape = (wanted.side, wanted.side)
    if wanted.model is None:
        options = raster.SceneOptions(stretch=raster.Stretch.none())
        return Work(
            draw_predicted_scene(folder, shape),
            wanted.scenes,
            SleepingModel(wanted.tile_s),
            options,
        )
    half = cluster.threads_per_worker("local:2")
    spec = cluster.ModelSpec((wanted.model,), threads=half)
    return Work(draw_scene(folder, shape), wanted.scenes, spec, raster.SceneOptions())


if __name__ == "__main__":
    main()
