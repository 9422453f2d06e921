"""Published data sets, each read from its official layout, and towns that are drawn.

One file a set. A source is an entry of a recipe, told apart by its ``kind``; it finds its files
below the data folder and gives their chips. A new set is a new file and a name in ``AnySource``.
"""

from typing import Annotated

from pydantic import Field

from terralink.data.sources.dubai import Dubai
from terralink.data.sources.epfl import Epfl
from terralink.data.sources.massachusetts import Massachusetts
from terralink.data.sources.source import Source, Split
from terralink.data.sources.towns import Towns

__all__ = ["AnySource", "Dubai", "Epfl", "Massachusetts", "Source", "Split", "Towns"]

AnySource = Annotated[Dubai | Epfl | Massachusetts | Towns, Field(discriminator="kind")]
