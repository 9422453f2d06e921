"""What each network costs: parameters, file, GFLOP and seconds for one tile, against a baseline.

    python benchmarks/models.py                      every network
    python benchmarks/models.py dlinknet34 unet7     these
    python benchmarks/models.py --write              and keep the figures, for docs and 'models'

Seconds are OpenVINO's on the CPU in the precision that it takes by itself (as 'predict' runs a
file), the least of some rounds after one to warm up; the ratio is to the baseline's seconds in the
same run. A multiplication and its addition are 2 FLOP.
"""

import argparse
import json
import math
import platform
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import openvino
import torch
from torch.utils.flop_counter import FlopCounterMode

from terralink import models
from terralink.inference.backends.openvino_backend import core

_ROOT = Path(__file__).parents[1]
_KEPT = _ROOT / "src" / "terralink" / "models" / "figures.json"
_PAGE = _ROOT / "docs" / "models.md"
_START, _END = "<!-- figures: benchmarks/models.py --write -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class Figures:
    """One network; sizes are of its float32 weights, ``reach_px`` None sees the whole tile."""

    parameters: int
    file_mb: float
    gflop: float
    seconds: float | None
    ratio: float | None
    reach_px: int | None
    paper: str


def measure(name: str, *, tile_px: int, taken_s: float | None, baseline_s: float | None) -> Figures:
    """Cost of the network ``name`` for one tile, which took ``taken_s`` where it was timed."""
    image = torch.empty(1, 3, tile_px, tile_px, device="meta")
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes = models.create_model(name).eval()  # no numbers, so nothing is computed
        shapes(image)
    held = sum(value.numel() * value.element_size() for value in shapes.state_dict().values())
    return Figures(
        parameters=sum(parameter.numel() for parameter in shapes.parameters()),
        file_mb=round(held / 1e6, 1),
        gflop=round(counter.get_total_flops() / 1e9, 1),
        seconds=taken_s and round(taken_s, 3),
        ratio=taken_s and baseline_s and round(taken_s / baseline_s, 2),
        reach_px=None if math.isinf(shapes.receptive_field_px) else int(shapes.receptive_field_px),
        paper=models.source(name),
    )


def seconds(name: str, *, tile_px: int, rounds: int) -> float:
    """Least seconds of a tile, after one that is not counted."""
    network = models.create_model(name).eval()
    image = torch.rand(1, 3, tile_px, tile_px)
    with torch.no_grad():
        program = torch.export.export(network, (image,))
    compiled = core().compile_model(openvino.convert_model(program), "CPU")
    del network, program
    levels = image.numpy()
    _timed(compiled, levels)
    return min(_timed(compiled, levels) for _ in range(rounds))


def _timed(compiled: openvino.CompiledModel, image: object) -> float:
    start = perf_counter()
    compiled(image)
    return perf_counter() - start


def table(networks: dict[str, Figures], *, baseline: str) -> str:
    """The figures as Markdown."""
    heads = ("network", "parameters", "file MB", "GFLOP", "seconds", f"of {baseline}")
    lines = [
        f"| {' | '.join((*heads, 'bridge sees', 'paper'))} |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name, each in sorted(networks.items()):
        sees = "the tile" if each.reach_px is None else f"{each.reach_px:,} px"
        cells = [name, f"{each.parameters:,}", f"{each.file_mb:,.1f}", f"{each.gflop:,.0f}"]
        cells += [_number(each.seconds), _number(each.ratio), sees, each.paper or "this project"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def write(networks: dict[str, Figures], *, baseline: str, tile_px: int) -> None:
    """Keep the figures beside the networks and in the page about them."""
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "tile_px": tile_px,
        "baseline": baseline,
        "machine": f"{_cpu()}, {torch.get_num_threads()} cores",
        "runtime": f"OpenVINO {openvino.__version__.partition('-')[0]}",
    }
    kept = {"about": about, "networks": {name: asdict(each) for name, each in networks.items()}}
    _KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    before, _, rest = _PAGE.read_text(encoding="utf-8").partition(_START)
    _, _, after = rest.partition(_END)
    told = f"Measured {about['date']}: {about['machine']}, {about['runtime']}."
    middle = f"{_START}\n{told}\n\n{table(networks, baseline=baseline)}\n{_END}"
    _PAGE.write_text(before + middle + after, encoding="utf-8")


def _cpu() -> str:
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NETWORK", default=models.list_models())
    parser.add_argument("--baseline", default="dlinknet34")
    parser.add_argument("--tile", type=int, default=1024, metavar="PX")
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    parser.add_argument("--untimed", action="store_true", help="only what needs no clock")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    time = partial(seconds, tile_px=given.tile, rounds=given.rounds)
    baseline_s = None if given.untimed else time(given.baseline)
    measured = {}
    for name in given.names:
        taken_s = None if given.untimed else time(name)
        print(name, taken_s, file=sys.stderr)
        measured[name] = measure(name, tile_px=given.tile, taken_s=taken_s, baseline_s=baseline_s)
    print(table(measured, baseline=given.baseline))
    if given.write:
        write(measured, baseline=given.baseline, tile_px=given.tile)


if __name__ == "__main__":
    main()
