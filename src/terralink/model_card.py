"""What a model file says of itself, so that nobody passes a mean, a band order or a threshold.

It lies in the ONNX file's metadata: whole as JSON under the key ``terralink``, and again under the
keys that QGIS's Deepness (and GeoDeep) read.

RULE: there a class is known by the number of its channel. The one channel of a model with one class
      is split by the threshold, into 0, background, and 1. Of several channels the largest wins,
      so each has its own name from 0, and no threshold.
"""

import json
import logging
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from terralink.errors import ModelError

_log = logging.getLogger(__name__)
_KEY = "terralink"
_LONGEST_JSON = 1_000_000  # a file that says more of itself is not ours


# A name is shown, and written into files: one line, of a length that a person reads.
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f<>]*$")]


class Metadata(BaseModel):
    """The card that a model file carries. Sizes in pixels are at ``pixel_size_m``."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Word
    about: str = ""
    network: str = ""
    classes: Annotated[tuple[Word, ...], Field(min_length=1, max_length=255)] = ("road",)
    bands: Annotated[tuple[Word, ...], Field(min_length=1, max_length=255)] = (
        "red",
        "green",
        "blue",
    )
    pixel_size_m: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    tile_px: Annotated[int, Field(gt=0, le=8192, multiple_of=32)] = 512
    # of a tile's rim, not to be trusted
    margin_px: Annotated[int, Field(ge=0, le=2048)] = 32
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    licence: str = ""
    attribution: str = ""
    recipe: str = ""
    commit: str = ""
    figures: dict[str, float] = {}

    @property
    def class_names(self) -> dict[int, str]:
        """The names of what a pixel may be, by the number that other tools know it by (RULE).

        >>> Metadata(name="a", classes=("road",)).class_names
        {0: 'background', 1: 'road'}
        >>> Metadata(name="b", classes=("other", "road")).class_names
        {0: 'other', 1: 'road'}
        """
        one = len(self.classes) == 1
        return dict(enumerate(("background", *self.classes) if one else self.classes))

    def to_props(self) -> dict[str, str]:
        """Keys and values for the ONNX file; levels go in raw, so Deepness's /255 is undone."""
        overlap_percent = round(100 * 2 * self.margin_px / self.tile_px)
        deepness = {
            "model_type": "Segmentor",
            "class_names": self.class_names,
            "resolution": 100 * self.pixel_size_m,  # centimetres
            "tiles_size": self.tile_px,
            "tiles_overlap": overlap_percent,
            "seg_thresh": self.threshold if len(self.classes) == 1 else 0.0,
            "standardization_mean": [0.0] * len(self.bands),
            "standardization_std": [1 / 255] * len(self.bands),
        }
        props = {key: json.dumps(value) for key, value in deepness.items()}
        return {**props, _KEY: self.model_dump_json()}

    @classmethod
    def from_props(cls, props: Mapping[str, str], *, source: str) -> "Metadata":
        """The card from an ONNX file's metadata, which may hold anything.

        Raises ``ModelError`` that names ``source`` when it is missing or does not check out.
        """
        written = props.get(_KEY)
        if written is None:
            raise ModelError(
                f"{source} carries no terralink metadata; export it with 'terralink export'"
            )
        if len(written) > _LONGEST_JSON:
            raise ModelError(f"{source} carries metadata of {len(written)} characters; refused")
        try:
            card = cls.model_validate_json(written)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "JSON"
            raise ModelError(f"{source}: metadata {place}: {first['msg']}") from error
        shifted = json.dumps(dict(enumerate(("background", *card.classes))))
        if len(card.classes) > 1 and props.get("class_names") == shifted:
            _log.warning(
                "%s was exported by an older version: its classes are right here, but Deepness and "
                "GeoDeep show each under the name of the one before; export it again",
                source,
            )
        return card
