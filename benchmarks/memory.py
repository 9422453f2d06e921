"""Peak memory of `extract` on drawn towns of growing size: it should not know the scene's.

    python benchmarks/memory.py [SIDE_PX...] [--folder DIR]

Each town is drawn to a file at 1 m per pixel, then extracted by a process of its own, whose peak
resident memory is printed beside its ratio to the first. Towns are kept in the folder and used
again.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from terralink import town

# Peak resident memory of a process that extracts argv[1] into argv[2], in MB; Linux counts in kB.
_EXTRACT = """
import resource, sys
from terralink import extract
roads = extract.roads(sys.argv[1], out=sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, len(roads))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sides_px", nargs="*", type=int, default=[8000, 16000])
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = wanted.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        print("| side in px | peak MB | ratio | roads | s | Mpx/s |\n|---|---|---|---|---|---|")
        first_mb = 0.0
        for side_px in wanted.sides_px:
            scene = folder / f"town{side_px}.tif"
            if not scene.exists():
                town.draw((side_px, side_px), seed=0, pixel_size_m=1.0).write(scene)
            start = perf_counter()
            command = [sys.executable, "-c", _EXTRACT, str(scene), str(scene.with_suffix(".gpkg"))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            took_s = perf_counter() - start
            peak_mb, roads = done.stdout.split()
            first_mb = first_mb or float(peak_mb)
            rate = side_px**2 / 1e6 / took_s
            ratio = float(peak_mb) / first_mb
            print(
                f"| {side_px} | {float(peak_mb):.0f} | {ratio:.2f} | {roads} | {took_s:.0f} "
                f"| {rate:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
