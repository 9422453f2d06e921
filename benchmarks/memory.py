"""Peak memory of `predict` and `extract` on scenes of growing size: it should not know the scene's.

    python benchmarks/memory.py [HEIGHTxWIDTH...] [--stand-in] [--tta] [--folder DIR]

Each scene (a drawn suburb, repeated) is worked on by a process of its own, as the verbs of the same
names do it; its peak resident memory is printed beside its ratio to the first. With `--stand-in`
the scene is what the shipped model says of the suburb, and the network hands that on: the roads
are those that the model finds, and the network itself costs next to nothing. The suburb has 13 km
of road a km2; Massachusetts' val and train labels have 10. Scenes are kept in the folder and used
again.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from scenes import draw_predicted_scene, draw_scene

from terralink.model_card import Metadata

# The peak resident memory of this process, in MB, as Linux tells it. What getrusage tells is at
# least the memory of the process that started this one.
_PEAK = """
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) / 1000, roads)
"""
_START = """
import sys
from pathlib import Path
from terralink.cli import process
process.use_one_arena()
from terralink import inference, raster
from terralink.pipeline import extract
scene, out, model = sys.argv[1], Path(sys.argv[2]), inference.load_model(sys.argv[3])
tta = "tta" in sys.argv[4:]
"""
_WORK = {
    "predict": """
with raster.open_scene(scene) as opened:
    inference.predict_to_file(out.with_suffix(".tif"), model, opened, tta=tta)
roads = 0
""",
    "extract": """
roads = len(extract.extract_roads(scene, model, out=out.with_suffix(".gpkg"), tta=tta))
""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shapes", nargs="*", default=["8000x8000", "16000x16000", "2000x200000"])
    parser.add_argument("--model", default="roads")
    parser.add_argument("--stand-in", action="store_true", help="needs onnx, of the extra 'train'")
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--work", choices=_WORK, nargs="*", default=list(_WORK))
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    print(
        "| work | scene, px | roads | peak MB | ratio | s | Mpx/s |\n|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = wanted.folder or Path(scratch)
        model = stand_in(Path(scratch)) if wanted.stand_in else wanted.model
        for work in wanted.work:
            first_mb = 0.0
            for shape in wanted.shapes:
                height, width = (int(side) for side in shape.split("x"))
                make = draw_predicted_scene if wanted.stand_in else draw_scene
                scene = make(folder, (height, width), style="suburb")
                given = [str(scene), f"{scratch}/out", str(model), *["tta"] * wanted.tta]
                peak_mb, roads, took_s = measured(_START + _WORK[work] + _PEAK, given)
                first_mb = first_mb or peak_mb
                rate = math.prod((height, width)) / 1e6 / took_s
                print(
                    f"| {work} | {height:,} x {width:,} | {roads:,.0f} | {peak_mb:.0f} "
                    f"| {peak_mb / first_mb:.2f} | {took_s:.0f} | {rate:.1f} |",
                    flush=True,
                )


def measured(code: str, given: list[str]) -> tuple[float, float, float]:
    """The two numbers that a process prints, and the seconds it took."""
    start = perf_counter()
    command = [sys.executable, "-c", code, *given]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    peak_mb, roads = (float(number) for number in done.stdout.split())
    return peak_mb, roads, perf_counter() - start


def stand_in(folder: Path) -> Path:
    """A model file whose network hands the first band on: prob = red / 255."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Slice", ["image", "first", "second", "axis"], ["red"]),
        helper.make_node("Mul", ["red", "scale"], ["prob"]),
    ]
    constants = {
        "first": np.array([0]),
        "second": np.array([1]),
        "axis": np.array([1]),
        "scale": np.array([1 / 255], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "handed_on",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", 1, "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = Metadata(name="handed_on", about="a stand-in: the image is the answer")
    helper.set_model_props(model, card.to_props())
    path = folder / "handed_on.onnx"
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    main()
