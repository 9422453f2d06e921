"""Peak memory of `predict` and `extract` on scenes of growing size: it should not know the scene's.

    python benchmarks/memory.py [HEIGHTxWIDTH...] [--model MODEL] [--tta] [--folder DIR]

Each scene (a drawn town, repeated) is worked on by a process of its own, whose peak resident memory
is printed beside its ratio to the first. What grows with a scene has little to do with the network:
with `--model tests/cli/grey.onnx`, which computes next to nothing, large scenes take minutes.
Scenes are kept in the folder and used again.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from scenes import drawn

# The peak resident memory of this process, in MB; Linux counts in kB.
_PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
_START = """
import sys
from pathlib import Path
from terralink import extract, geo, predict
scene, out, model = sys.argv[1], Path(sys.argv[2]), predict.load(sys.argv[3])
tta = "tta" in sys.argv[4:]
"""
_WORK = {
    "predict": """
with geo.open_scene(scene) as opened:
    predict.write(out.with_suffix(".tif"), model, opened, tta=tta)
""",
    "extract": """
extract.roads(scene, model=model, out=out.with_suffix(".gpkg"), tta=tta)
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shapes", nargs="*", default=["8000x8000", "16000x16000", "2000x200000"])
    parser.add_argument("--model", default="roads")
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    print("| work | scene, px | peak MB | ratio | s | Mpx/s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = wanted.folder or Path(scratch)
        for work, code in _WORK.items():
            first_mb = 0.0
            for shape in wanted.shapes:
                height, width = (int(side) for side in shape.split("x"))
                scene = drawn(folder, (height, width))
                given = [str(scene), f"{scratch}/out", wanted.model, *["tta"] * wanted.tta]
                peak_mb, took_s = measured(_START + code + _PEAK, given)
                first_mb = first_mb or peak_mb
                rate = math.prod((height, width)) / 1e6 / took_s
                print(
                    f"| {work} | {height:,} x {width:,} | {peak_mb:.0f} | {peak_mb / first_mb:.2f} "
                    f"| {took_s:.0f} | {rate:.1f} |",
                    flush=True,
                )


def measured(code: str, given: list[str]) -> tuple[float, float]:
    """The number that a process prints, and the seconds it took."""
    start = perf_counter()
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout), perf_counter() - start


if __name__ == "__main__":
    main()
