"""How far a model's mask of a scene agrees with the mask of the same scene moved by some pixels.

    python benchmarks/shifts.py DATA [MODEL...] [--set SET]... [--count N] [--shifts 1,2] [--json]

DATA and MODEL are those of road_model.py, and so are the sets; of each the first N pictures that no
recipe trains on are taken. A picture without its first s rows and columns is the scene moved by s
pixels. Both are predicted as users do it, and the masks of what both show are compared: IoU of the
pixels over the threshold, over all pictures of a set. 1 is a model that does not care where a scene
begins. ``worst`` is the shift that agrees least; ``inside`` leaves ``MARGIN_PX`` pixels at the
borders out, where a moved scene ends elsewhere.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from road_model import SETS, held_out, native_grid, on_grid, probability

from terralink import inference, metrics
from terralink.data.chips import Chip

MARGIN_PX = 32
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Agreement:
    """Counts of two masks of the same ground: everywhere, and away from the borders; they add."""

    all: metrics.Confusion
    inside: metrics.Confusion

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.all + other.all, self.inside + other.inside)

    @classmethod
    def of(cls, still: Mask, moved: Mask) -> "Agreement":
        inner = (slice(MARGIN_PX, -MARGIN_PX),) * 2
        return cls(
            metrics.Confusion.of(still, moved), metrics.Confusion.of(still[inner], moved[inner])
        )


def mask(model: inference.Predictor, chip: Chip, first: int, folder: Path) -> Mask:
    """The mask of a picture without its first rows and columns, on the picture's pixels."""
    part = Chip(chip.image[:, first:, first:], chip.mask[first:, first:], "", chip.pixel_size_m)
    path = folder / f"{first}.png"
    Image.fromarray(np.ascontiguousarray(part.image.transpose(1, 2, 0))).save(path)
    prob = probability(model, path, chip.pixel_size_m, tta=False)
    return np.asarray(on_grid(prob, native_grid(part)) >= model.metadata.threshold * 255)


def agreements(
    model: inference.Predictor, chips: Iterable[Chip], shifts: Sequence[int]
) -> dict[int, Agreement]:
    """For each shift, over all pictures."""
    found: dict[int, Agreement] = {}
    with TemporaryDirectory() as folder:
        for chip in chips:
            still = mask(model, chip, 0, Path(folder))
            for shift in shifts:
                moved = mask(model, chip, shift, Path(folder))
                one = Agreement.of(still[shift:, shift:], moved)
                found[shift] = found[shift] + one if shift in found else one
    return found


def figures(found: Mapping[int, Agreement]) -> dict[str, float]:
    ious = {shift: float(each.all.iou()[1]) for shift, each in found.items()}
    inside = {shift: float(each.inside.iou()[1]) for shift, each in found.items()}
    worst = min(ious, key=lambda shift: ious[shift])
    return {
        "mean": float(np.mean(list(ious.values()))),
        "least": ious[worst],
        "worst": float(worst),
        "mean inside": float(np.mean(list(inside.values()))),
        "least inside": min(inside.values()),
    }


def table(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterable[str]:
    yield "| model | set | mean | least | worst | mean inside | least inside |"
    yield "|---|---|---|---|---|---|---|"
    for model, sets in rows.items():
        for name, told in sets.items():
            values = " | ".join(
                f"{value:.0f} px" if key == "worst" else f"{value:.3f}"
                for key, value in told.items()
            )
            yield f"| {model} | {name} | {values} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=["roads"])
    parser.add_argument("--set", action="append", choices=list(SETS), dest="sets")
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--shifts", default=",".join(map(str, range(1, 17))))
    parser.add_argument("--json", action="store_true", dest="as_json")
    wanted: Any = parser.parse_args()
    shifts = [int(shift) for shift in wanted.shifts.split(",")]
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name in wanted.sets or ["vegas", "gsi", "massachusetts"]:
        chips = [chip for _, chip in held_out(SETS[name], wanted.data)][: wanted.count]
        for model in wanted.models:
            found = agreements(inference.load(model), chips, shifts)
            rows.setdefault(str(model), {})[name] = figures(found)
    print(json.dumps(rows, indent=2) if wanted.as_json else "\n".join(table(rows)))


if __name__ == "__main__":
    main()
