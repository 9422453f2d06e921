"""``terralink evaluate``: truth against prediction."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options


class Kind(StrEnum):
    """What can be scored."""

    PIXELS = "pixels"
    PATCHES = "patches"
    ROADS = "roads"
    TOPO = "topo"
    BUILDINGS = "buildings"


_MOST_NAMED = 5


def run_evaluate(
    kind: Annotated[Kind, typer.Argument(help="What to score.", show_default=False)],
    truth: Annotated[
        Path, typer.Argument(help="A raster, a vector file or a folder.", show_default=False)
    ],
    pred: Annotated[
        Path,
        typer.Argument(help="The same for the prediction, or a submission.", show_default=False),
    ],
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="Pixels of rasters with this probability (below 1) or value or more are positive.",
            show_default="all but 0",
        ),
    ] = None,
    patch_px: Annotated[
        int, typer.Option("--patch", metavar="PX", min=1, help="Side of the patches.")
    ] = 16,
    within_m: Annotated[
        float,
        typer.Option("--within-m", min=0.01, help="Roads within this distance may be the same."),
    ] = 4.0,
    sample: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="APLS of N random control points, with its standard error: for whole cities.",
            show_default="all",
        ),
    ] = None,
    iou: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Buildings with this IoU or more are the same.")
    ] = 0.5,
    min_area_m2: Annotated[
        float, typer.Option("--min-area-m2", min=0.0, help="Ignore smaller buildings.")
    ] = 0.0,
    pixel_size_m: options.PixelSize = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML",
            help="Write a page with pictures of the worst cases.",
            show_default=False,
        ),
    ] = None,
    worst: Annotated[int, typer.Option(metavar="N", min=1, help="Cases on the page.")] = 9,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Score predictions against the truth: a pair of files, or two folders of files.

    The result is a table. pixels and patches: IoU, F1 and kappa of masks; roads: APLS, and
    precision and recall of centre lines; topo: TOPO; buildings: polygons matched one to one. Roads
    and buildings are vector files, or masks that are traced first. Files in folders are paired by
    name without suffix; files without a partner are listed. A CSV of the EPFL road challenge
    ('terralink submit') is paired with a folder of truth by image number. With --report a page with
    the worst cases is written too.
    """
    if report is not None:
        options.check_outputs(
            [report], scenes=[truth, pred], overwrite=overwrite, option="--report"
        )
    from terralink import evaluate

    started = perf_counter()
    with (
        evaluate.unpack_submission(pred, truth=truth) as files,
        console.show_progress(kind.value) as update,
    ):
        pairs = evaluate.find_pairs(truth, files)
        rules = evaluate.Rules(
            threshold=threshold,
            patch_px=patch_px,
            within_m=within_m,
            iou=iou,
            min_area_m2=min_area_m2,
            sample=sample,
            pixel_size_m=pixel_size_m,
        )
        result = evaluate.evaluate_pairs(kind.value, pairs, rules, progress=update)
        if report is not None:
            command = f"terralink evaluate {kind.value} {truth} {pred}"
            evaluate.build_page(result, command=command, worst=worst).write(report)
    _note("without a partner, and not scored", [str(path) for path in pairs.unpaired])
    _note(
        "rasters without georeferencing, so lengths are in pixels (--pixel-size METRES)",
        result.without_scale,
    )
    took_s = perf_counter() - started
    record = {
        "kind": kind.value,
        "pairs": len(result.cases),
        "rules": dict(result.parameters),
        "alone": [str(path) for path in pairs.unpaired],
        "apart": list(result.disjoint),
        "masked": list(result.masked),
        "figures": dict(result.figures),
        "cases": [{"name": case.pair.name, **case.figures} for case in result.cases],
        "seconds": took_s,
        "written": [str(report)] if report else [],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("pairs", f"{len(result.cases):,}"),
            *(
                (name, evaluate.format_figure(name, value))
                for name, value in result.figures.items()
            ),
            *(
                [("do not overlap", _some(result.disjoint, "scored as 0"))]
                if result.disjoint
                else []
            ),
            *([("all masked", _some(result.masked, "left out"))] if result.masked else []),
            ("took", console.format_duration(took_s)),
            *([("to look at", report)] if report else []),
        ],
    )


def _some(names: Sequence[str], how: str) -> str:
    return f"{len(names):,} of the pairs, {how}: {console.join_first(names, _MOST_NAMED)}"


def _note(what: str, names: Sequence[str]) -> None:
    if names:
        console.print_note(f"{what}: {console.join_first(names, _MOST_NAMED)}")
