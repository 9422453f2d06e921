"""A report to look at: one HTML file that holds its pictures and asks nothing of the network.

A ``Page`` is a scene, layers to lay over it one at a time, and tables of figures. It reads in light
and dark, on paper and with the keyboard; the script in it only changes the layer and moves the
curtain between it and the scene, so that without it the first layer is still there to see.
"""

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from string import Template

from PIL import Image, ImageEnhance

from terralink.atomic_write import MARK, write_atomically

__all__ = ["Key", "Layer", "Page", "Table"]

_GAP_PX = 8


@dataclass(frozen=True)
class Key:
    """One line of a legend: a CSS colour, or a CSS gradient, and what it stands for."""

    colour: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture with a transparent ground, to lie over the scene, and how to read it."""

    name: str
    about: str
    picture: Image.Image
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Table:
    """Figures under a title: (name, value, what it means) a row."""

    title: str
    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, eq=False)
class Page:
    """A report; ``scene`` and the pictures of all ``layers`` show the same ground.

    curtain  whether the layers can be drawn aside: not where the scene shows nothing by itself
    """

    title: str
    lead: str
    scene: Image.Image
    layers: Sequence[Layer]
    tables: Sequence[Table]
    provenance: Mapping[str, str] = field(default_factory=dict)
    curtain: bool = True

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one self-contained HTML file, whole or not at all."""
        with write_atomically(path) as part:
            part.write_text(self.html(), encoding="utf-8")

    def write_picture(
        self, path: str | os.PathLike[str], *, of: Sequence[str], height_px: int = 480
    ) -> None:
        """Write the scene and the layers named in ``of`` over it, side by side, as a JPEG."""
        layers = {layer.name: layer.picture for layer in self.layers}
        views = [self.scene, *(_over(layers[name], self.scene) for name in of)]
        width_px = round(height_px * self.scene.width / self.scene.height)
        strip = Image.new("RGB", ((width_px + _GAP_PX) * len(views) - _GAP_PX, height_px), "white")
        for place, view in enumerate(views):
            small = view.resize((width_px, height_px), Image.Resampling.LANCZOS)
            strip.paste(small, (place * (width_px + _GAP_PX), 0))
        with write_atomically(path) as part:
            strip.save(part, "JPEG", quality=87, comment=MARK)

    def html(self) -> str:
        """The whole page as text."""
        template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
        return Template(template).substitute(
            title=html.escape(self.title),
            lead=html.escape(self.lead),
            hidden="" if self.curtain else " hidden",
            aspect=f"{self.scene.width} / {self.scene.height}",
            scene=_data_uri(self.scene, "JPEG", quality=88),
            choices="\n".join(map(_choice, range(len(self.layers)), self.layers)),
            panes="\n".join(map(_pane, range(len(self.layers)), self.layers)),
            legends="\n".join(map(_legend, range(len(self.layers)), self.layers)),
            tables="\n".join(map(_table, self.tables)),
            provenance="\n".join(
                f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
                for name, value in self.provenance.items()
            ),
        )


def _over(picture: Image.Image, scene: Image.Image) -> Image.Image:
    """A layer over the scene, which is dimmed as the page dims it."""
    dimmed = ImageEnhance.Brightness(ImageEnhance.Color(scene).enhance(0.25)).enhance(0.62)
    dimmed.paste(picture, mask=picture.getchannel("A"))
    return dimmed


def _data_uri(picture: Image.Image, kind: str, **options: int) -> str:
    """The picture inside the address: ``data:image/...;base64,...``."""
    held = io.BytesIO()
    picture.save(held, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(held.getvalue()).decode()}"


def _choice(number: int, layer: Layer) -> str:
    checked = " checked" if number == 0 else ""
    return (
        f'<input type="radio" name="layer" id="layer{number}" value="{number}"{checked}>'
        f'<label for="layer{number}">{html.escape(layer.name)}</label>'
    )


def _pane(number: int, layer: Layer) -> str:
    picture = _data_uri(layer.picture, "WebP", quality=85, method=4)
    about = html.escape(layer.about)
    return f'<img data-layer="{number}"{_shown(number)} src="{picture}" alt="{about}">'


def _legend(number: int, layer: Layer) -> str:
    keys = "".join(
        f'<li><i style="background:{html.escape(key.colour)}"></i>{html.escape(key.meaning)}</li>'
        for key in layer.keys
    )
    about = html.escape(layer.about)
    return f'<div data-layer="{number}"{_shown(number)}><p>{about}</p><ul>{keys}</ul></div>'


def _shown(number: int) -> str:
    return ' class="shown"' if number == 0 else ""


def _table(table: Table) -> str:
    rows = "\n".join(
        f"<tr><th scope=row>{html.escape(name)}<small>{html.escape(meaning)}</small></th>"
        f"<td>{html.escape(value)}</td></tr>"
        for name, value, meaning in table.rows
    )
    return f"<section><h2>{html.escape(table.title)}</h2><table>\n{rows}\n</table></section>"
