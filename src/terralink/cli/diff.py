"""``terralink diff``: what is new in a map, and what is missing from it."""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from terralink.cli import console, options


def run_diff(
    map_file: Annotated[
        Path,
        typer.Argument(metavar="MAP", help="A map: .gpkg, .geojson, .osm.", show_default=False),
    ],
    reference: Annotated[
        Path, typer.Argument(help="OpenStreetMap or an older map.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The GeoPackage to write.")] = Path(
        "diff.gpkg"
    ),
    within_m: Annotated[
        float, typer.Option("--within-m", min=0.01, help="Roads within this distance are the same.")
    ] = 8.0,
    iou: Annotated[
        float,
        typer.Option(min=0.01, max=1.0, help="Buildings with this IoU or more are the same."),
    ] = 0.5,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare a map with OpenStreetMap or an older map: what is new, matched and gone.

    The result is a GeoPackage with the layers 'roads_new', 'roads_matched' and 'roads_gone' (with
    length_m), and the same three of buildings (with area_m2), styled for QGIS; and
    'buildings_grouped', buildings of both maps that cover the same ground but are divided in
    different ways: one-to-many, many-to-one or many-to-many. Only the part of the reference inside
    the bounding box of the map is compared.
    """
    options.check_outputs([out], files=[map_file, reference], overwrite=overwrite)
    from terralink.pipeline import diff

    started = perf_counter()
    changes = diff.compare_files(map_file, reference, within_m=within_m, iou=iou)
    diff.write_changes(out, changes)
    record: dict[str, Any] = {"map": str(map_file), "reference": str(reference)}
    lines: list[tuple[str, object]] = []
    for each in changes:
        unit = "length_m" if each.kind == "roads" else "area_m2"
        record[each.kind] = {
            name: {"count": count, unit: each.size[name]} for name, count in each.count.items()
        }
        lines += [
            (f"{each.kind} {name}", f"{count:,}, {_format_size(each.kind, each.size[name])}")
            for name, count in each.count.items()
        ]
        if each.kind == "buildings":
            groups = {name: each.groups.summary(name) for name in diff.RELATIONS}
            record["buildings"] |= {name.replace("-", "_"): of for name, of in groups.items()}
            lines += [(f"buildings {name}", _format_groups(of)) for name, of in groups.items()]
    took_s = perf_counter() - started
    console.show(
        {**record, "seconds": took_s, "written": [str(out)]},
        as_json=as_json,
        lines=[*lines, ("took", console.format_duration(took_s)), ("written", out)],
    )


def _format_size(kind: str, size: float) -> str:
    return f"{size / 1000:,.2f} km" if kind == "roads" else f"{size:,.0f} m2"


def _format_groups(of: Mapping[str, float]) -> str:
    if not of["count"]:
        return "0"
    buildings = f"{of['map']:,} of the map, {of['reference']:,} of the reference"
    return f"{of['count']:,}: {buildings}, {_format_size('buildings', of['area_m2'])}"
