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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from scenes import draw_scene
from torch.utils.flop_counter import FlopCounterMode

from terralink import inference, models, raster
from terralink.export.onnx_file import export_onnx
from terralink.export.quantization import quantize
from terralink.inference.tile_plan import TilePlan
from terralink.model_card import Metadata
from terralink.models.network import NormalizedNetwork
from terralink.pipeline import extract

_MATRIX_PX = 2048
_PRODUCTS = 5  # a round
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


@dataclass(frozen=True)
class Product:
    """A product of square matrices of one precision: what the cores can do at their best."""

    left: torch.Tensor
    right: torch.Tensor

    @classmethod
    def of(cls, kind: str) -> "Product":
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}[kind]
        shape = (_MATRIX_PX, _MATRIX_PX)
        return cls(*(torch.randint(-99, 99, shape).to(dtype) for _ in "ab"))

    def __call__(self) -> None:
        multiply = torch._int_mm if self.left.dtype == torch.int8 else torch.mm
        multiply(self.left, self.right)


def gop_per_mpx(name: str) -> float:
    """What the network computes for a million pixels; a multiplication and an addition are 2."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        models.create_model(name).eval()(torch.empty(1, 3, 1024, 1024))
    return float(counter.get_total_flops()) / 1e9 / (1024**2 / 1e6)


def written(name: str, folder: Path, *, int8: bool) -> inference.Model:
    """The network with random weights as a model file."""
    path, card = folder / f"{name}.onnx", Metadata(name=name, network=name)
    torch.manual_seed(0)
    if not path.exists():
        export_onnx(NormalizedNetwork(models.create_model(name)).eval(), path, card)
    if not int8:
        return inference.load_model(path)
    rng = np.random.default_rng(0)
    chips = rng.integers(0, 256, (_CHIPS, 3, 128, 128)).astype(np.uint8)
    quantised = folder / f"{name}.int8.onnx"
    if not quantised.exists():
        quantize(path, quantised, card, chips)
    return inference.load_model(quantised)


@dataclass(frozen=True)
class Times:
    """The best of each way, for the megapixels that it worked on."""

    alone: Best = field(default_factory=Best)
    to_file: Best = field(default_factory=Best)
    to_graph: Best = field(default_factory=Best)
    window: Best = field(default_factory=Best)
    product: Best = field(default_factory=Best)


def compare(model: inference.Model, path: Path, *, rounds: int, tiles: int) -> str:
    """A line of the table: inference alone, to the file, to the graph, the sliding window."""
    times = Times()
    network = NormalizedNetwork(models.create_model(model.metadata.network)).eval()
    product = Product.of(_precision(model))
    with raster.open_scene(path) as scene:
        plan = TilePlan.create(scene.grid, model.metadata)
        side = (plan.plane.tile, plan.plane.tile)
        some = [scene.read(0, 512 * i, side).array for i in range(tiles)]
        list(model.predict_uint8(some))  # compiled, warm
        for _ in range(rounds):
            with times.window.round(), torch.no_grad():
                for image in some:
                    torch.sigmoid(network(torch.from_numpy(image)[None].float()))
            for _ in range(_PRODUCTS):
                with times.product.round():
                    product()
            with times.alone.round():
                list(model.predict_uint8(some * 2))
            with times.to_file.round():
                inference.predict_to_file(path.with_suffix(".prob.tif"), model, scene)
            if _shipped(model):
                with times.to_graph.round():
                    extract.extract_roads(path, model, out=path.with_suffix(".gpkg"))
    return line(model, times, plan, tiles)


def line(model: inference.Model, times: Times, plan: TilePlan, tiles: int) -> str:
    """The rates of one model file; none to a graph for weights that see no map."""
    mpx = math.prod(plan.grid.shape) / 1e6
    inference_rate = 2 * tiles * plan.plane.tile**2 / 1e6 / times.alone.wall_s
    window_rate = mpx / (times.window.wall_s / tiles * len(plan.plane))
    peak_gops = 2 * _MATRIX_PX**3 / 1e9 / times.product.wall_s
    share = inference_rate * gop_per_mpx(model.metadata.network) / peak_gops
    cells = [
        model.metadata.name,
        _precision(model),
        f"{inference_rate:.1f}",
        f"{100 * share:.0f}% of {peak_gops:.0f}",
        f"{mpx / times.to_file.wall_s:.1f}",
        f"{mpx / times.to_graph.wall_s:.1f}" if _shipped(model) else "",
        f"{1e3 * times.to_file.cpu_s / mpx:.0f}",
        f"{1e3 * times.to_graph.cpu_s / mpx:.0f}" if _shipped(model) else "",
        f"{window_rate:.2f}",
        f"{mpx / times.to_file.wall_s / window_rate:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _precision(model: inference.Model) -> str:
    return model.provider.rpartition(" ")[2]


def _shipped(model: inference.Model) -> bool:
    return model.path in inference.list_models().values()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tiles", type=int, default=2, help="of the baseline, a round")
    parser.add_argument("--networks", nargs="*", default=["dlinknet34"])
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    print(
        "| model | precision | inference, Mpx/s | of the peak, GOP/s | to the file, Mpx/s "
        "| to the graph, Mpx/s | file, CPU ms/Mpx | graph, CPU ms/Mpx | window, Mpx/s | ratio |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as scratch:
        path = draw_scene(wanted.folder or Path(scratch), (wanted.side, wanted.side))
        files = [inference.load_model("roads")]
        for name in wanted.networks:
            files += [written(name, path.parent, int8=int8) for int8 in (True, False)]
        for model in files:
            line = compare(model, path, rounds=wanted.rounds, tiles=wanted.tiles)
            print(line, flush=True)


if __name__ == "__main__":
    main()
