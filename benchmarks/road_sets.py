"""What the benchmarks of road models share: the sets, predictions of their pictures, the table.

Of each set only the pictures that no recipe of roads trains on are scored: its own validation part,
or what the recipes hold out. A picture is opened as a scene of the set's ground size, resampled to
the pixel size of the model, predicted in tiles and blended, as users do it.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from terralink import inference
from terralink.data.chips import Chip, Pairs
from terralink.data.sources import Dubai, Massachusetts, PairFolders, Source, Split
from terralink.raster import Grid, Raster, SceneOptions, Stretch, open_scene

Rows = Mapping[str, Mapping[str, Mapping[str, float]]]  # figures of each model and each set


def _pairs(folder: str, pixel_size_m: float, held_out: int, **more: Any) -> PairFolders:
    return PairFolders(
        kind="pairs",
        folder=folder,
        values={0: 0, 255: 1},
        pixel_size_m=pixel_size_m,
        take="val",
        split=Split(held_out=held_out),
        **more,
    )


SETS: Mapping[str, Source] = {
    "massachusetts": Massachusetts(kind="massachusetts", part="val"),
    "more": _pairs("massachusetts-more", 1.0, 10, group_by=r"^[0-9]+_[0-9]+"),
    "dubai": Dubai(kind="dubai", tiles=(2,)),
    "gsi": _pairs("gsi-roads", 0.2, 6),
    "shanghai": _pairs("spacenet-shanghai", 0.76, 6, no_data=0),
    "vegas": _pairs("spacenet-vegas-chips", 0.76, 6),
}


class Score(Protocol):
    """Counts of some pictures; scores add, and give their figures once at the end."""

    def __add__(self, other: Self) -> Self: ...

    def figures(self) -> dict[str, float]: ...


S = TypeVar("S", bound=Score)


def read_pictures(source: Source, data: Path) -> Iterator[tuple[Path, Chip]]:
    """The pictures of a set that are scored, with their truth."""
    part = source.chips(data, None)
    assert isinstance(part.chips, Pairs)
    for index in part.indices:
        yield part.chips.images[index], part.chips[index]


def score_set(
    name: str, data: Path, score: Callable[[Path, Chip], S], *, count: int | None = None
) -> S:
    """The sum of the scores of the pictures of a set, or of its first ``count``."""
    scores = [score(path, chip) for path, chip in islice(read_pictures(SETS[name], data), count)]
    return sum(scores[1:], start=scores[0])


def predict_picture(
    model: inference.Predictor, picture: Path, chip: Chip, *, tta: bool = False
) -> tuple[Raster, NDArray[np.float32]]:
    """The prediction on the model's pixels, and its values (0 to 255) on those of ``chip``.

    Where the ground size of the picture is not known, the model's pixels are the picture's.
    """
    options = SceneOptions(
        stretch=Stretch.none(), assumed_pixel_size_m=chip.pixel_size_m, no_data=()
    )
    with open_scene(picture, options) as scene:
        prob = inference.predict(model, scene, tta=tta)
    return prob, interpolate(prob, chip_grid(chip))


def chip_grid(chip: Chip) -> Grid:
    """The pixels of a chip as ``open_scene`` places them: in metres, or in pixels."""
    return Grid(chip.mask.shape, Affine.scale(chip.pixel_size_m or 1.0))


def interpolate(prob: Raster, grid: Grid) -> NDArray[np.float32]:
    """Values (row, col) at the pixels of another grid of the same ground."""
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    at_col, at_row = prob.grid.colrow(*grid.xy(cols, rows))
    values = prob.array.astype(np.float32)
    return np.asarray(
        ndimage.map_coordinates(values, [at_row - 0.5, at_col - 0.5], order=1, mode="nearest")
    )


def parser(description: str, sets: Iterable[str]) -> argparse.ArgumentParser:
    """The arguments that the benchmarks have in common."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="*", default=["roads"])
    parser.add_argument("--set", action="append", choices=list(sets), dest="sets")
    parser.add_argument("--json", action="store_true", dest="as_json")
    return parser


def score_models(
    models: Iterable[str], names: Iterable[str], score: Callable[[inference.Predictor, str], S]
) -> Rows:
    """The figures of each model and each set, where ``score`` gives the score of one of each."""
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name in models:
        model = inference.load_model(name)
        rows[str(name)] = {each: score(model, each).figures() for each in names}
    return rows


def print_rows(rows: Rows, *, as_json: bool, formats: Mapping[str, str] | None = None) -> None:
    """One JSON object, or a Markdown table; ``formats`` says how to print a column."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    heads = next(iter(next(iter(rows.values())).values()))
    print(f"| model | set | {' | '.join(heads)} |\n|{'---|' * (2 + len(heads))}")
    for model, sets in rows.items():
        for name, figures in sets.items():
            cells = [(formats or {}).get(head, "{:.3f}").format(figures[head]) for head in heads]
            print(f"| {model} | {name} | {' | '.join(cells)} |")
