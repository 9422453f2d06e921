"""How fast the engine is against a plain sliding window, and how near to what the cores can do.

    python benchmarks/engine.py [--side PX] [--networks NAME...] [--folder DIR]

Needs the extra 'train'. A drawn town of that side goes from a file to a probability GeoTIFF: with
the shipped model (and with it to a road graph, too), then with each network in int8 and in what
the CPU takes floats for. The baseline is the same network in torch, eager and in fp32, over the
same tiles one after another; some tiles are timed and the rest counted as those. The two take
turns, and the least of the rounds counts. Networks have random weights: they cost what trained ones
do, but what they see is no map. The peak of the cores is a product of two square matrices in torch,
in the precision that the engine computes in. CPU seconds are given too: on a machine that does
other work they say more than the clock.
"""

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from scenes import drawn
from torch.utils.flop_counter import FlopCounterMode

from terralink import extract, geo, models, predict
from terralink.export import Metadata
from terralink.export.onnx import export
from terralink.export.quantize import quantize
from terralink.models.normalised import Normalised
from terralink.predict.walk import Walk

_MATRIX_PX = 2048
_CHIPS = 8


@dataclass
class Best:
    """The least wall and CPU seconds of some rounds."""

    wall_s: float = math.inf
    cpu_s: float = math.inf

    @contextmanager
    def round(self) -> Iterator[None]:
        wall, cpu = perf_counter(), process_time()
        yield
        self.wall_s = min(self.wall_s, perf_counter() - wall)
        self.cpu_s = min(self.cpu_s, process_time() - cpu)


def peak_gops(kind: str, rounds: int = 5) -> float:
    """Billions of operations a second in a product of square matrices."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}[kind]
    left, right = (
        torch.randint(-99, 99, (_MATRIX_PX, _MATRIX_PX)).to(dtype).contiguous() for _ in "ab"
    )
    multiply: Callable[..., torch.Tensor] = torch._int_mm if kind == "int8" else torch.mm
    multiply(left, right)
    best = Best()
    for _ in range(rounds):
        with best.round():
            multiply(left, right)
    return 2 * _MATRIX_PX**3 / 1e9 / best.wall_s


def gop_per_mpx(name: str) -> float:
    """What the network computes for a million pixels; a multiplication and an addition are 2."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        models.create_model(name).eval()(torch.empty(1, 3, 1024, 1024))
    return float(counter.get_total_flops()) / 1e9 / (1024**2 / 1e6)


def written(name: str, folder: Path, *, int8: bool) -> predict.Model:
    """The network with random weights as a model file."""
    path, card = folder / f"{name}.onnx", Metadata(name=name, network=name)
    torch.manual_seed(0)
    if not path.exists():
        export(Normalised(models.create_model(name)).eval(), path, card)
    if not int8:
        return predict.load(path)
    rng = np.random.default_rng(0)
    chips = rng.integers(0, 256, (_CHIPS, 3, 128, 128)).astype(np.uint8)
    quantised = folder / f"{name}.int8.onnx"
    if not quantised.exists():
        quantize(path, quantised, card, chips)
    return predict.load(quantised)


def compare(model: predict.Model, path: Path, *, rounds: int, tiles: int, peak: float) -> str:
    """A line of the table: inference alone, to the file, to the graph, the sliding window.

    There is no graph (and so infinite seconds for it) but for a shipped model.
    """
    name = model.metadata.network
    network = Normalised(models.create_model(name)).eval()
    shipped = model.path in predict.shipped().values()
    alone, to_file, to_graph, window = Best(), Best(), Best(), Best()
    with geo.open_scene(path) as scene:
        walk = Walk.through(scene.grid, model.metadata)
        mpx = math.prod(scene.grid.shape) / 1e6
        side = walk.plane.tile
        some = [scene.read(0, 512 * i, (side, side)).array for i in range(tiles)]
        list(model.levels(some))  # compiled, warm
        for _ in range(rounds):
            with window.round(), torch.no_grad():
                for image in some:
                    torch.sigmoid(network(torch.from_numpy(image)[None].float()))
            with alone.round():
                list(model.levels(some * 2))
            with to_file.round():
                predict.write(path.with_suffix(".prob.tif"), model, scene)
            if shipped:
                with to_graph.round():
                    extract.roads(path, model=model, out=path.with_suffix(".gpkg"))
    inference_rate = 2 * tiles * side**2 / 1e6 / alone.wall_s
    window_rate = mpx / (window.wall_s / tiles * len(walk.plane))
    figures = [
        model.metadata.name,
        model.provider.rpartition(" ")[2],
        f"{inference_rate:.1f}",
        f"{100 * inference_rate * gop_per_mpx(name) / peak:.0f}%",
        *(f"{mpx / best.wall_s:.1f}" for best in (to_file, to_graph)),
        *(f"{1e3 * best.cpu_s / mpx:.0f}" for best in (to_file, to_graph)),
        f"{window_rate:.2f}",
        f"{mpx / to_file.wall_s / window_rate:.1f}",
    ]
    return (
        f"| {model.metadata.name} | {model.provider.rpartition(' ')[2]} | {' | '.join(figures)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tiles", type=int, default=2, help="of the baseline, a round")
    parser.add_argument("--networks", nargs="*", default=["dlinknet34"])
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    peaks = {kind: peak_gops(kind) for kind in ("fp32", "bf16", "int8")}
    print("peak of a matrix product, GOP/s:", {kind: round(peak) for kind, peak in peaks.items()})
    print(
        "| model | precision | inference, Mpx/s | of the peak | to the file, Mpx/s "
        "| to the graph, Mpx/s | file, CPU ms/Mpx | graph, CPU ms/Mpx | window, Mpx/s | ratio |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = drawn(wanted.folder or Path(scratch), (wanted.side, wanted.side))
        files = [predict.load("roads")]
        for name in wanted.networks:
            files += [written(name, path.parent, int8=int8) for int8 in (True, False)]
        for model in files:
            peak = peaks[model.provider.rpartition(" ")[2]]
            line = compare(model, path, rounds=wanted.rounds, tiles=wanted.tiles, peak=peak)
            print(line, flush=True)


if __name__ == "__main__":
    main()
