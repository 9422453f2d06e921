"""How far a model's mask of a scene agrees with the mask of the same scene moved by some pixels.

    python benchmarks/shifts.py DATA [MODEL...] [--set SET]... [--count N] [--shifts 1,2] [--json]

DATA and MODEL are those of road_model.py, the sets those of road_sets.py; of each the first N
pictures that no recipe trains on are taken. A picture without its first s rows and columns is the
scene moved by s pixels. Both are predicted as users do it, and the masks of what both show are
compared: IoU of the pixels over the threshold, over all pictures of a set. 1 is a model whose mask
does not depend on where a scene begins. ``worst`` is the shift with the least agreement; ``inside``
leaves ``MARGIN_PX`` pixels at the borders out, where a moved scene ends elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import road_sets
from numpy.typing import NDArray
from PIL import Image

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


@dataclass(frozen=True)
class Agreements:
    """The agreement for each shift in pixels; they add."""

    by_shift: Mapping[int, Agreement]

    def __add__(self, other: "Agreements") -> "Agreements":
        return Agreements(
            {shift: each + other.by_shift[shift] for shift, each in self.by_shift.items()}
        )

    def figures(self) -> dict[str, float]:
        ious = {shift: float(each.all.iou()[1]) for shift, each in self.by_shift.items()}
        inside = [float(each.inside.iou()[1]) for each in self.by_shift.values()]
        worst = min(ious, key=lambda shift: ious[shift])
        return {
            "mean": float(np.mean(list(ious.values()))),
            "least": ious[worst],
            "worst": float(worst),
            "mean inside": float(np.mean(inside)),
            "least inside": min(inside),
        }


def predict_mask(model: inference.Predictor, chip: Chip, first: int, folder: Path) -> Mask:
    """The mask of a picture without its first rows and columns, on the picture's pixels."""
    part = Chip(chip.image[:, first:, first:], chip.mask[first:, first:], "", chip.pixel_size_m)
    path = folder / f"{first}.png"
    Image.fromarray(np.ascontiguousarray(part.image.transpose(1, 2, 0))).save(path)
    _, values = road_sets.predict_picture(model, path, part)
    return np.asarray(values >= model.metadata.threshold * 255)


def compare_shifts(
    model: inference.Predictor, shifts: Sequence[int], _picture: Path, chip: Chip
) -> Agreements:
    """The mask of a picture against that of each shifted copy."""
    with TemporaryDirectory() as folder:
        still = predict_mask(model, chip, 0, Path(folder))
        return Agreements(
            {
                shift: Agreement.of(
                    still[shift:, shift:], predict_mask(model, chip, shift, Path(folder))
                )
                for shift in shifts
            }
        )


def main() -> None:
    parser = road_sets.parser(__doc__ or "", road_sets.SETS)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--shifts", default=",".join(map(str, range(1, 17))))
    args = parser.parse_args()
    shifts = [int(shift) for shift in args.shifts.split(",")]

    def score(model: inference.Predictor, name: str) -> Agreements:
        compare = partial(compare_shifts, model, shifts)
        return road_sets.score_set(name, args.data, compare, count=args.count)

    rows = road_sets.score_models(
        args.models, args.sets or ["vegas", "gsi", "massachusetts"], score
    )
    road_sets.print_rows(rows, as_json=args.as_json, formats={"worst": "{:.0f} px"})


if __name__ == "__main__":
    main()
