"""The report: figures, and the worst cases side by side on one sheet."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import terralink
from terralink.evaluate import inputs
from terralink.evaluate.inputs import Rules
from terralink.evaluate.tasks import TASKS, Case, Figures, Result
from terralink.metrics.buildings import classify_buildings
from terralink.pipeline import diff
from terralink.raster import Grid
from terralink.report import Key, Layer, Page, Table, pictures

Split: TypeAlias = tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.object_]]

_TILE_PX, _GAP_PX, _CAPTION_PX, _COLUMNS = 440, 12, 30, 3
_LINE_PX = 3
# Blue, amber and magenta are told apart by every kind of eye.
_MATCHED, _MISSED, _FALSE = (diff.COLOURS[name] for name in ("matched", "gone", "new"))
_KEYS = [
    Key(_MATCHED, "in both"),
    Key(_MISSED, "in the truth, but missed"),
    Key(_FALSE, "predicted, but not in the truth"),
]


def build_page(result: Result, *, command: str, worst: int = 9) -> Page:
    """The report of ``result`` with its ``worst`` cases; ``command`` is what it was made with."""
    cases, score = result.worst[:worst], TASKS[result.task].key_figure
    return Page(
        title=f"Truth against prediction: {result.task}",
        lead=_lead(
            f"{score} {format_figure(score, result.figures[score])}", len(result.cases), len(cases)
        ),
        scene=_draw_sheet(cases, score),
        layers=_make_layers(result, cases),
        tables=[
            Table("All pairs", [*_table_rows(result.figures), *_notes(result)]),
            Table(
                f"The worst by {score}",
                [(case.pair.name, format_figure(score, case.figures[score]), "") for case in cases],
            ),
        ],
        provenance={
            "made by": f"terralink {terralink.__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "command": command,
            "judged by": ", ".join(
                f"{name.replace('_', ' ')} {value}" for name, value in result.parameters.items()
            ),
        },
        curtain=False,
    )


def _lead(score: str, pairs: int, drawn: int) -> str:
    """The line below the title.

    >>> _lead("f1 0.500", 1, 1), _lead("f1 0.500", 30, 9)
    ('f1 0.500 of one pair.', 'f1 0.500 over 30 pairs. Below are the worst 9, the worst one first.')
    """
    if pairs == 1:
        return f"{score} of one pair."
    return f"{score} over {pairs} pairs. Below are the worst {drawn}, the worst one first."


def _table_rows(figures: Figures) -> list[tuple[str, str, str]]:
    return [
        (name.replace("_", " "), format_figure(name, value), "") for name, value in figures.items()
    ]


def _notes(result: Result) -> list[tuple[str, str, str]]:
    """How many pairs are zeros because their sides do not overlap, and how many do not count."""
    notes = [
        ("pairs that do not overlap", len(result.disjoint), "scored as 0"),
        ("pairs without a valid pixel", len(result.masked), "left out"),
    ]
    return [(name, f"{count:,}", meaning) for name, count, meaning in notes if count]


def format_figure(name: str, value: float) -> str:
    """The figure ``name`` as people read it: counts and metres whole, ratios with three digits.

    >>> figures = {"f1": 1.0, "pred": 1, "truth_m": 1234.4, "iou": math.nan}
    >>> [format_figure(name, value) for name, value in figures.items()]
    ['1.000', '1', '1,234', 'none']
    """
    if math.isnan(value):
        return "none"
    whole = isinstance(value, int) or name.endswith(("_m", "_m2"))
    return f"{value:,.0f}" if whole else f"{value:.3f}"


def _draw_sheet(cases: Sequence[Case], score: str) -> Image.Image:
    """The names of the cases over dark ground, where the layers draw them."""
    sheet = Image.new("RGB", _sheet_size(len(cases)), "#1b1f1d")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for place, case in enumerate(cases):
        x, y = _corner(place)
        caption = f"{case.pair.name}   {score} {format_figure(score, case.figures[score])}"
        pen.text((x, y - _CAPTION_PX + 5), caption, fill="#ffffff", font=font)
        pen.rectangle((x, y, x + _TILE_PX, y + _TILE_PX), fill="#101312")
    return sheet


def _make_layers(result: Result, cases: Sequence[Case]) -> list[Layer]:
    drawn = [_draw_case(result, case) for case in cases]
    abouts = {
        "Truth against prediction": ("Both, told apart by where they agree.", _KEYS),
        "Truth": ("What is there.", [Key(_MATCHED, "found"), Key(_MISSED, "missed")]),
        "Prediction": ("What was predicted.", [Key(_MATCHED, "right"), Key(_FALSE, "wrong")]),
    }
    return [
        Layer(name, about, _arrange([views[place] for views in drawn]), keys)
        for place, (name, (about, keys)) in enumerate(abouts.items())
    ]


def _arrange(tiles: Sequence[Image.Image]) -> Image.Image:
    sheet = Image.new("RGBA", _sheet_size(len(tiles)))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, _corner(place))
    return sheet


def _sheet_size(count: int) -> tuple[int, int]:
    columns, rows = min(count, _COLUMNS), math.ceil(count / _COLUMNS)
    x, y = _corner(columns - 1)[0], _corner((rows - 1) * _COLUMNS)[1]
    return x + _TILE_PX + _GAP_PX, y + _TILE_PX + _GAP_PX


def _corner(place: int) -> tuple[int, int]:
    row, column = divmod(place, _COLUMNS)
    across, down = _TILE_PX + _GAP_PX, _TILE_PX + _GAP_PX + _CAPTION_PX
    return _GAP_PX + column * across, _CAPTION_PX + _GAP_PX + row * down


def _draw_case(result: Result, case: Case) -> list[Image.Image]:
    """Both, the truth alone and the prediction alone, each with what the other has of it."""
    if result.task in ("pixels", "patches"):
        return _draw_masks(case, result.rules)
    matched, missed, false = _split_shapes(result.task, case, result.rules)
    views = (
        [(matched, _MATCHED), (missed, _MISSED), (false, _FALSE)],
        [(matched, _MATCHED), (missed, _MISSED)],
        [(matched, _MATCHED), (false, _FALSE)],
    )
    grid = _tile_grid(np.concatenate([matched, missed, false]))
    return [pictures.lines(grid, view, width_px=_LINE_PX) for view in views]


def _split_shapes(kind: str, case: Case, rules: Rules) -> Split:
    """(matched, missed, false) lines; of buildings the outlines of what is judged."""
    if kind == "buildings":
        true, found = inputs.load_buildings(case.pair, rules)
        sides = classify_buildings(
            true.data, found.data, iou=rules.iou, min_area_m2=rules.min_area_m2
        )
        matched, missed, false = (
            np.asarray(shapely.boundary(side), dtype=object) for side in sides
        )
        return matched, missed, false
    truth, pred = inputs.load_roads(case.pair, rules)
    lines = diff.compare_roads(pred.data, truth.data, within_m=rules.within_m, allow_disjoint=True)
    return lines.matched, lines.gone, lines.new


def _tile_grid(shapes: NDArray[np.object_]) -> Grid:
    """A tile's grid around all shapes, in their own metres."""
    if not len(shapes):
        return Grid((_TILE_PX, _TILE_PX), Affine.identity())
    left, bottom, right, top = shapely.total_bounds(shapes)
    pixel_m = max(right - left, top - bottom, 1.0) / (0.94 * _TILE_PX)
    x = (left + right) / 2 - pixel_m * _TILE_PX / 2
    y = (bottom + top) / 2 + pixel_m * _TILE_PX / 2
    return Grid((_TILE_PX, _TILE_PX), Affine(pixel_m, 0, x, 0, -pixel_m, y))


def _draw_masks(case: Case, rules: Rules) -> list[Image.Image]:
    """Every pixel in its colour, reduced to a tile."""
    each: list[list[NDArray[np.uint8]]] = [[], [], []]
    for band in inputs.load_masks(case.pair, rules):
        reduced = max(1, math.ceil(max(band.grid.width, 1) / (2 * _TILE_PX)))
        kinds = np.where(band.valid, band.truth + 2 * band.pred, 0)
        for view, shown in zip(each, _SHOWN, strict=True):
            view.append(shown[kinds[::reduced, ::reduced]])
    return [_fit_tile(Image.fromarray(np.concatenate(view))) for view in each]


def _to_rgba(text: str) -> tuple[int, ...]:
    return (*bytes.fromhex(text[1:]), 255)


# For each view the colour of pixels in neither, the truth alone, the prediction alone, both.
_NONE = (0, 0, 0, 0)
_SHOWN = [
    np.array([_NONE, _to_rgba(_MISSED), _to_rgba(_FALSE), _to_rgba(_MATCHED)], np.uint8),
    np.array([_NONE, _to_rgba(_MISSED), _NONE, _to_rgba(_MATCHED)], np.uint8),
    np.array([_NONE, _NONE, _to_rgba(_FALSE), _to_rgba(_MATCHED)], np.uint8),
]


def _fit_tile(picture: Image.Image) -> Image.Image:
    scale = _TILE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    tile = Image.new("RGBA", (_TILE_PX, _TILE_PX))
    way = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    tile.paste(picture.resize(size, way))
    return tile
