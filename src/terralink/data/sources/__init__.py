"""Published data sets, each read from its official layout; own data; and towns that are drawn.

One file a set. A source is an entry of a recipe, told apart by its ``kind``; it finds its files
below the data folder and gives their chips. A new set is a new file and a name in ``AnySource``.
"""

from typing import Annotated

from pydantic import Field

from terralink.data.sources.deepglobe import DeepGlobe
from terralink.data.sources.dubai import Dubai
from terralink.data.sources.epfl import Epfl
from terralink.data.sources.folders import Fields, PairFolders, SceneFolder
from terralink.data.sources.inria import Inria
from terralink.data.sources.massachusetts import Massachusetts
from terralink.data.sources.source import Source, Split
from terralink.data.sources.spacenet import SpaceNet
from terralink.data.sources.tiles import Tiles
from terralink.data.sources.towns import Towns

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
