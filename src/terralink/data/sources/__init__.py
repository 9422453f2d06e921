"""Published data sets, each read from its official layout; own data; and towns that are drawn.

One file a set. A source is an entry of a recipe, told apart by its ``kind``; it finds its files
below the data folder and gives their chips. A new set is a new file and a name in ``AnySource``.
"""

from typing import Annotated

from pydantic import Field

from terralink.data.sources.custom import Fields, PairFolders, SceneFolder
from terralink.data.sources.published import (
    DeepGlobe,
    Dubai,
    Epfl,
    Inria,
    Massachusetts,
    SpaceNet,
    Towns,
)
from terralink.data.sources.source import Source
from terralink.data.sources.tiles import Tiles
from terralink.data.splits import Split

__all__ = [
    "AnySource",
    "DeepGlobe",
    "Dubai",
    "Epfl",
    "Fields",
    "Inria",
    "Massachusetts",
    "PairFolders",
    "SceneFolder",
    "Source",
    "SpaceNet",
    "Split",
    "Tiles",
    "Towns",
]

AnySource = Annotated[
    DeepGlobe
    | Dubai
    | Epfl
    | Fields
    | Inria
    | Massachusetts
    | PairFolders
    | SceneFolder
    | SpaceNet
    | Tiles
    | Towns,
    Field(discriminator="kind"),
]
