"""``terralink chip``: scenes with masks or vectors, cut into chips for training."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralink.cli import console, options
from terralink.cli.rasterize import What
from terralink.errors import InputError

if TYPE_CHECKING:
    from terralink.data.chip_folder import ManifestRow
    from terralink.data.windows import Scenes

_NAMED = 3  # chips that are named on the console; the manifest names all


def run_chip(
    scenes: options.Scenes,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The new folder of the chips.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Vectors (GeoJSON, .osm, .parquet, ...), a mask, or a folder with a file a scene.",
            show_default=False,
        ),
    ] = None,
    side_px: Annotated[int, typer.Option("--side", min=16, help="Side of a chip in pixels.")] = 512,
    overlap_px: Annotated[
        int, typer.Option("--overlap", min=0, help="Pixels that neighbouring chips share.")
    ] = 0,
    what: Annotated[What, typer.Option(help="Which vectors are drawn.")] = What.ROADS,
    width_m: Annotated[
        float | None,
        typer.Option(
            "--width-m", min=0.1, help="One width for all roads.", show_default="by their tags"
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(
            metavar="0:0,255:1",
            help="The class of each value or colour (#ff0000:1) of masks; class 255 is ignored.",
            show_default="as they are",
        ),
    ] = None,
    threshold: Annotated[
        int | None,
        typer.Option(
            min=1, help="Mask pixels with this value or more are class 1.", show_default=False
        ),
    ] = None,
    with_shapes: Annotated[
        bool, typer.Option("--shapes", help="Also write the vectors of each chip as GeoJSON.")
    ] = False,
    bands: options.Bands = None,
    stretch: options.StretchOption = options.StretchMode.AUTO,
    no_data: Annotated[
        int | None,
        typer.Option(help="The pixel value of borders that no tag declares.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Cut scenes, and their masks or vector labels, into chips for training.

    The result is the folder DIR with 'images' and 'masks' (GeoTIFF), and 'manifest.csv', which has
    the place and the classes of each chip. Chips that are blank are not written; the manifest lists
    them. A recipe reads the folder as {kind: scenes, folder: DIR, stretch: none}.
    """
    from terralink.data.chip_folder import export_chips
    from terralink.data.masks import VectorMasks, find_labels
    from terralink.data.windows import Scenes

    started = perf_counter()
    paths, stored_values = _paths(scenes), _values(values)
    drawn = VectorMasks({name: value for value, name in _classes(what).items()}, width_m)
    if stored_values is not None and threshold is not None:
        raise InputError("give either --values or --threshold")
    masks = None if labels is None else find_labels(paths, labels, stored_values, drawn, threshold)
    ready = Scenes(
        paths,
        masks,
        side_px,
        overlap_px,
        options.parse_band_numbers(bands),
        options.stretch_of(stretch),
        no_data,
    )
    _check_labels(ready)
    with console.show_progress("chips") as update:
        rows = export_chips(
            ready, out, names=_names(ready, what), with_shapes=with_shapes, progress=update
        )
    record = _record(rows, out, perf_counter() - started)
    _note_background(ready, record)
    console.show(record, as_json=as_json, lines=_lines(record))


def _check_labels(scenes: "Scenes") -> None:
    """Name the scenes that nothing is drawn on; where that is so of all, it is refused."""
    from terralink.data.masks import SceneVectorMasks, find_unlabelled_scenes

    if not isinstance(scenes.labels, SceneVectorMasks):
        return
    if empty := find_unlabelled_scenes(scenes.labels, scenes.paths):
        console.print_note(
            f"nothing of the labels lies on {len(empty)} of {len(scenes.paths)} scenes: "
            f"{console.join_first(list(map(str, empty)), _NAMED)}; their chips are all background"
        )


def _note_background(scenes: "Scenes", record: console.Record) -> None:
    if scenes.labels is not None and record["chips"] and list(record["classes"]) in ([], ["0"]):
        console.print_note(
            "the chips hold no class but 0, background: are the labels the right ones, and --values"
        )


def _paths(scenes: list[Path]) -> list[Path]:
    """The scenes, and those in the folders, in the order of their names."""
    from terralink.data.chips import list_images

    found = [each for path in scenes for each in (list_images(path) if path.is_dir() else [path])]
    if not found:
        raise InputError(f"no scenes in {', '.join(map(str, scenes))}")
    return sorted(set(found))


def _classes(what: What) -> dict[int, Any]:
    return dict(enumerate(what.classes, start=1))


def _names(scenes: "Scenes", what: What) -> dict[int, Any]:
    """The names of classes that were drawn; masks do not tell theirs."""
    from terralink.data.masks import SceneVectorMasks

    return _classes(what) if isinstance(scenes.labels, SceneVectorMasks) else {}


def _values(text: str | None) -> dict[int | str, int] | None:
    """
    >>> _values("0:0,255:1")
    {0: 0, 255: 1}
    >>> _values("#000000:0,#ff0000:1")
    {'#000000': 0, '#ff0000': 1}
    """
    from terralink.data.masks import check_values

    if text is None:
        return None
    try:
        pairs = [part.strip().split(":") for part in text.split(",")]
        values = {_value(stored): int(index) for stored, index in pairs}
        check_values(values)
    except ValueError:
        wanted = "--values wants a class for each value, such as 0:0,255:1"
        raise InputError(f"{wanted}; got {text!r}") from None
    except InputError as error:
        raise InputError(f"--values {text}: {error}") from error
    return values


def _value(text: str) -> int | str:
    return text if text.startswith("#") else int(text)


def _record(rows: "Sequence[ManifestRow]", out: Path, seconds: float) -> dict[str, Any]:
    written = [row for row in rows if row.name]
    classes = sorted({each for row in written for each in row.classes})
    return {
        "chips": len(written),
        "left_out": [row.window.name for row in rows if not row.name],
        "no_data": sum(row.no_data for row in written) / max(len(written), 1),
        "classes": {
            str(each): sum(row.classes.get(each, 0.0) for row in written) / len(written)
            for each in classes
        },
        "seconds": seconds,
        "written": str(out),
    }


def _lines(record: console.Record) -> list[tuple[str, object]]:
    left_out = record["left_out"]
    named = f"{len(left_out)} without signal: {console.join_first(left_out, _NAMED)}"
    return [
        ("chips", f"{record['chips']:,}"),
        *([("left out", named)] if left_out else []),
        ("no data", f"{record['no_data']:.1%} of the pixels"),
        *((f"class {each}", f"{part:.1%}") for each, part in record["classes"].items()),
        ("took", console.format_duration(record["seconds"])),
        ("written", record["written"]),
    ]
