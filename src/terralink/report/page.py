"""One HTML page: a scene with layers over it, figures, tables and listings.

It reads in light and dark, on paper and with the keyboard. The script in it only chooses the layer
and moves the curtain between layer and scene; without it the first layer is shown.
"""

import base64
import io
import mimetypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import jinja2
from PIL import Image, ImageEnhance

from terralink.atomic_write import MARK, write_atomically

_GAP_PX = 8


@dataclass(frozen=True)
class Key:
    """One line of a legend: a CSS colour, or a CSS gradient, and its meaning."""

    colour: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Layer:
    """A picture with a transparent background, to lie over the scene, and its legend."""

    name: str
    about: str
    picture: Image.Image
    keys: Sequence[Key] = ()

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return _encode(self.picture, "WebP", quality=85, method=4)


@dataclass(frozen=True)
class Figure:
    """An image file with a caption; the page holds a copy of the file."""

    caption: str
    path: Path

    @property
    def uri(self) -> str:
        """The file as a data URI."""
        kind, _ = mimetypes.guess_type(self.path)
        return _data_uri(self.path.read_bytes(), kind or "image/png")


@dataclass(frozen=True)
class Table:
    """Figures under a title: (name, value, meaning) a row."""

    title: str
    rows: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Listing:
    """Preformatted text under a title, such as a recipe."""

    title: str
    text: str


@dataclass(frozen=True, eq=False)
class Page:
    """A report. ``scene`` and the pictures of all ``layers`` show the same area.

    curtain  whether the layers can be drawn aside: not where the scene shows nothing by itself
    """

    title: str
    lead: str
    scene: Image.Image | None = None
    layers: Sequence[Layer] = ()
    tables: Sequence[Table] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    curtain: bool = True
    figures: Sequence[Figure] = ()
    listings: Sequence[Listing] = ()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page as one HTML file, as a whole or not at all."""
        with write_atomically(path) as part:
            part.write_text(self.html(), encoding="utf-8")

    def write_picture(
        self, path: str | os.PathLike[str], *, of: Sequence[str], height_px: int = 480
    ) -> None:
        """Write the scene and the layers named in ``of`` over it, side by side, as a JPEG."""
        assert self.scene is not None
        layers = {layer.name: layer.picture for layer in self.layers}
        views = [self.scene, *(_overlay(layers[name], self.scene) for name in of)]
        width_px = round(height_px * self.scene.width / self.scene.height)
        strip = Image.new("RGB", ((width_px + _GAP_PX) * len(views) - _GAP_PX, height_px), "white")
        for index, view in enumerate(views):
            small = view.resize((width_px, height_px), Image.Resampling.LANCZOS)
            strip.paste(small, (index * (width_px + _GAP_PX), 0))
        with write_atomically(path) as part:
            strip.save(part, "JPEG", quality=87, comment=MARK)

    def html(self) -> str:
        """The whole page as text."""
        template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        scene_uri = _encode(self.scene, "JPEG", quality=88) if self.scene else ""
        return environment.from_string(template).render(page=self, scene_uri=scene_uri)


def _overlay(picture: Image.Image, scene: Image.Image) -> Image.Image:
    """A layer over the scene, which is dimmed as in page.html."""
    dimmed = ImageEnhance.Brightness(ImageEnhance.Color(scene).enhance(0.25)).enhance(0.62)
    dimmed.paste(picture, mask=picture.getchannel("A"))
    return dimmed


def _encode(picture: Image.Image, kind: str, **options: int) -> str:
    """The picture as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return _data_uri(buffer.getvalue(), f"image/{kind.lower()}")


def _data_uri(content: bytes, kind: str) -> str:
    """The content inside the address: ``data:image/...;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
