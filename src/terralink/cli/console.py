"""What commands share: results on stdout, notes and progress on stderr, missing extras."""

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from terralink.cli import process
from terralink.errors import SceneWarning, TerralinkError

if TYPE_CHECKING:
    from affine import Affine

    from terralink.graph import RoadGraph
    from terralink.map_kind import MapKind
    from terralink.vectorize import Map

Record = Mapping[str, Any]
Lines = Sequence[tuple[str, object]]


def show(record: Record, *, as_json: bool, lines: Lines) -> None:
    """Print ``record`` as one JSON object, or ``lines`` as a table."""
    if as_json:
        show_json(record)
    else:
        show_table(lines)


def show_json(record: Record) -> None:
    """Print one JSON object; NaN and infinity, which JSON does not have, become null."""
    print(json.dumps(_jsonable(record), allow_nan=False))


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show_table(lines: Lines) -> None:
    """Print names and values in two columns.

    >>> show_table([("roads", 12), ("junctions", 9)])
    roads      12
    junctions  9
    """
    widest = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{widest}}  {value}")


def roads_record(roads: "RoadGraph") -> dict[str, Any]:
    """What a record says of a road map; lengths without a CRS are in the scene's own unit."""
    return {
        "roads": len(roads),
        "junctions": len(roads.junctions),
        "length_m": float(roads.length_m.sum()),
        "crs": roads.crs.to_string() if roads.crs else None,
    }


def roads_table(record: Record) -> list[tuple[str, object]]:
    """The table of a record with ``roads_record``, ``seconds``, ``written``, maybe ``provider``."""
    return [
        ("roads", f"{record['roads']:,}, {record['length_m'] / 1000:,.2f} km"),
        ("junctions", f"{record['junctions']:,}"),
        ("CRS", record["crs"] or "none"),
        *([("provider", record["provider"])] if "provider" in record else []),
        ("took", format_duration(record["seconds"])),
        ("written", ", ".join(record["written"])),
    ]


def map_record(found: "Map", kind: "MapKind") -> dict[str, Any]:
    """What a record says of any map; areas are those on the map."""
    from terralink.graph import RoadGraph

    if isinstance(found, RoadGraph):
        return roads_record(found)
    crs = found.crs.to_string() if found.crs else None
    if kind == "buildings":
        return {"buildings": len(found), "area_m2": float(found.area_m2.sum()), "crs": crs}
    area_m2 = {
        str(each): float(area) for each, area in found.groupby("class").area_m2.sum().items()
    }
    names = (
        dict(zip(found["class"].astype(str), found["name"], strict=True)) if "name" in found else {}
    )
    return {
        "regions": len(found),
        "class_area_m2": area_m2,
        **({"class_names": {each: names[each] for each in area_m2}} if names else {}),
        "crs": crs,
    }


def map_table(record: Record) -> list[tuple[str, object]]:
    """The table of a record with ``map_record``, ``seconds``, ``written``, maybe ``provider``."""
    if "roads" in record:
        return roads_table(record)
    names = record.get("class_names", {})
    areas = record.get("class_area_m2", {})
    first: tuple[str, object] = (
        ("regions", f"{record['regions']:,}")
        if "regions" in record
        else ("buildings", f"{record['buildings']:,}, {record['area_m2']:,.0f} m2")
    )
    return [
        first,
        *((names.get(each) or f"class {each}", f"{area:,.0f} m2") for each, area in areas.items()),
        ("CRS", record["crs"] or "none"),
        *([("provider", record["provider"])] if "provider" in record else []),
        ("took", format_duration(record["seconds"])),
        ("written", ", ".join(record["written"])),
    ]


def join_first(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are.

    >>> join_first(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def format_duration(seconds: float) -> str:
    """Seconds as text.

    >>> format_duration(3.24), format_duration(754)
    ('3.2 s', '12 min 34 s')
    """
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


@contextmanager
def show_progress(label: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on stderr while the block runs; call what is yielded with the part done, 0..1.

    Where stderr is no terminal, a log file say, nothing is drawn. C libraries print nothing over
    it: on a full disk libtiff says so three times before the one line that says what to do.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeLeft())
    with process.silence_c_libraries():
        console = Console(stderr=True)
        drawn = console.is_terminal
        with Progress(*columns, console=console, transient=True, disable=not drawn) as bar:
            task = bar.add_task(label, total=1.0)
            yield lambda part: bar.update(task, completed=part)


def print_note(line: str) -> None:
    """Print a note on stderr."""
    print(f"terralink: {line}", file=sys.stderr)


@contextmanager
def print_warnings() -> Iterator[None]:
    """Print the warnings about scenes as notes while the block runs."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *more: Any, **named: Any) -> None:
            if issubclass(category, SceneWarning):
                return print_note(str(message))
            return usual(message, category, *more, **named)

        warnings.simplefilter("always", SceneWarning)
        warnings.showwarning = tell
        yield


def note_no_crs(scene: object, transform: "Affine") -> None:
    """Say that a scene has no CRS, and the unit of its lengths, which is not the metre."""
    if transform.is_identity:
        print_note(
            f"{scene} has no CRS, so its pixels are used as they are and lengths are in pixels; "
            "give the size of a pixel with --pixel-size METRES"
        )
        return
    side = abs(transform.determinant) ** 0.5
    print_note(
        f"{scene} has no CRS, so its pixels are used as they are and lengths are in the unit of "
        f"its transform, of which a pixel has {side:g}; name its CRS with --crs EPSG:..., or say "
        "how large a pixel is with --pixel-size METRES"
    )


@contextmanager
def require_extra(name: str) -> Iterator[None]:
    """Name the extra to install when an import in the block finds a package missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("terralink"):
            raise  # a bug of terralink, not a missing extra
        raise TerralinkError(
            f"this command needs {error.name}, which the core package does not install; "
            f"install it with: pip install 'terralink[{name}]'"
        ) from error
