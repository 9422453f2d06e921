"""How maps look in QGIS: styles kept inside the GeoPackage, in its table ``layer_styles``.

Roads are drawn as on a street map: a dark casing under a light fill, wider roads wider and warmer.
All casings lie under all fills, so that crossings are open. QGIS (3.22 and newer) takes the styles
by itself when it opens the file; the markup is its QML.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

_CASING = "#7d7770"
_CASING_MM = 0.5


@dataclass(frozen=True)
class WidthClass:
    """Roads of ``at_least_m`` and more, up to the next class."""

    label: str
    at_least_m: float
    fill: str
    line_mm: float


WIDTH_CLASSES = (
    WidthClass("arterial", 16, "#f7b267", 2.4),
    WidthClass("main street", 10, "#fbdf8b", 1.9),
    WidthClass("street", 6, "#ffffff", 1.4),
    WidthClass("lane", 0, "#f4f1ec", 0.8),
)


def write_styles(path: Path, styles: dict[str, str]) -> None:
    """Put the QML of each layer into the GeoPackage at ``path``, as the layer's default style."""
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(_TABLE)
        base.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
        # a default that the user chose stays the default
        base.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name,"
            " f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner)"
            " SELECT '', '', ?1, 'geom', 'terralink', ?2, '', NOT EXISTS (SELECT 1 FROM"
            " layer_styles WHERE f_table_name = ?1 AND useAsDefault), 'of terralink', ''",
            styles.items(),
        )


# the table as QGIS itself makes it
_TABLE = """CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""


def _options(**values: object) -> str:
    inside = "".join(
        f'<Option type="QString" name="{name}" value="{value}"/>' for name, value in values.items()
    )
    return f'<Option type="Map">{inside}</Option>'


def _stroke(colour: str, line_mm: float, level: int) -> str:
    options = _options(
        line_color=colour, line_width=line_mm, line_width_unit="MM", capstyle="round",
        joinstyle="round", line_style="solid",
    )  # fmt: skip
    return f'<layer class="SimpleLine" enabled="1" locked="0" pass="{level}">{options}</layer>'


def _symbol(name: object, kind: str, layers: str) -> str:
    return f'<symbol name="{name}" type="{kind}" alpha="1" clip_to_extent="1">{layers}</symbol>'


def _road_symbol(number: int, road: WidthClass) -> str:
    casing = _stroke(_CASING, road.line_mm + _CASING_MM, 0)
    fill = _stroke(road.fill, road.line_mm, len(WIDTH_CLASSES) - number)  # the widest on top
    return _symbol(number, "line", casing + fill)


def _road_rules() -> str:
    """One rule a class; what has no width is drawn as a street."""
    rules, below = [], ""
    for number, road in enumerate(WIDTH_CLASSES):
        test = f"&quot;width_m&quot; &gt;= {road.at_least_m}{below}"
        rules.append(f'<rule key="{number}" symbol="{number}" label="{road.label}, from '
                     f'{road.at_least_m} m" filter="{test}"/>')  # fmt: skip
        below = f" AND &quot;width_m&quot; &lt; {road.at_least_m}"
    rules.append('<rule key="else" symbol="2" label="width unknown" filter="ELSE"/>')
    return "".join(rules)


def _qml(renderer: str, geometry_type: int) -> str:
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
        f'<qgis version="3.22.0" styleCategories="Symbology">{renderer}'
        f"<layerGeometryType>{geometry_type}</layerGeometryType></qgis>"
    )


def _roads_qml() -> str:
    symbols = "".join(_road_symbol(*numbered) for numbered in enumerate(WIDTH_CLASSES))
    return _qml(
        '<renderer-v2 type="RuleRenderer" symbollevels="1" enableorderby="0" forceraster="0">'
        f'<rules key="roads">{_road_rules()}</rules><symbols>{symbols}</symbols></renderer-v2>',
        geometry_type=1,
    )


def _junctions_qml() -> str:
    options = _options(
        name="circle", color="#ffffff", outline_color=_CASING, outline_width=0.2,
        outline_width_unit="MM", size=1.0, size_unit="MM",
    )  # fmt: skip
    dot = f'<layer class="SimpleMarker" enabled="1" locked="0" pass="0">{options}</layer>'
    return _single(_symbol(0, "marker", dot), geometry_type=0)


def line_style(colour: str, *, line_mm: float = 0.9) -> str:
    """The QML of lines in one colour."""
    return _single(_symbol(0, "line", _stroke(colour, line_mm, 0)), geometry_type=1)


def outline_style(colour: str) -> str:
    """The QML of areas with an outline in one colour and a light fill."""
    fill = _fill(colour, opacity=0.35, outline=colour, outline_mm=0.4)
    return _single(_symbol(0, "fill", fill), geometry_type=2)


def fill_style(colour: str, outline: str) -> str:
    """The QML of areas as a map has them: filled, with a thin outline."""
    fill = _fill(colour, opacity=0.9, outline=outline, outline_mm=0.2)
    return _single(_symbol(0, "fill", fill), geometry_type=2)


def category_style(
    column: str, colours: Mapping[int, str], labels: Mapping[int, str] | None = None
) -> str:
    """The QML of areas in a colour for each value of a column; edges are no lines of their own.

    ``labels`` are what values are called in the legend, else the column and the value.
    """
    named = {value: (labels or {}).get(value) or f"{column} {value}" for value in colours}
    categories = "".join(
        f'<category value="{value}" symbol="{number}" label={quoteattr(label)} render="true"/>'
        for number, (value, label) in enumerate(named.items())
    )
    symbols = "".join(
        _symbol(number, "fill", _fill(colour, opacity=0.8, outline=colour, outline_mm=0.1))
        for number, colour in enumerate(colours.values())
    )
    return _qml(
        f'<renderer-v2 type="categorizedSymbol" attr="{column}" symbollevels="0" '
        f'enableorderby="0" forceraster="0"><categories>{categories}</categories>'
        f"<symbols>{symbols}</symbols></renderer-v2>",
        geometry_type=2,
    )


def _fill(colour: str, *, opacity: float, outline: str, outline_mm: float) -> str:
    # QGIS reads #rrggbb, but four channels only in decimals
    red, green, blue = bytes.fromhex(colour[1:])
    options = _options(
        color=f"{red},{green},{blue},{round(255 * opacity)}", style="solid",
        outline_color=outline, outline_style="solid", outline_width=outline_mm,
        outline_width_unit="MM", joinstyle="round",
    )  # fmt: skip
    return f'<layer class="SimpleFill" enabled="1" locked="0" pass="0">{options}</layer>'


def _single(symbol: str, *, geometry_type: int) -> str:
    return _qml(
        '<renderer-v2 type="singleSymbol" symbollevels="0" enableorderby="0" forceraster="0">'
        f"<symbols>{symbol}</symbols></renderer-v2>",
        geometry_type=geometry_type,
    )


ROADS_STYLE = _roads_qml()
JUNCTIONS_STYLE = _junctions_qml()
