"""The metadata of a model file, so that no user passes a mean, a band order or a threshold.

It is stored in the ONNX file: as JSON under the key ``terralink``, and again under the keys that
QGIS's Deepness (and GeoDeep) read.

RULE: Deepness knows a class by the number of its channel. The one channel of a model with one class
      is split by the threshold into 0, background, and 1. Of several channels the largest wins, so
      they are named from 0 on, and there is no threshold.
"""

import json
import logging
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from terralink.errors import ModelError

_log = logging.getLogger(__name__)
_KEY = "terralink"
_MAX_JSON_LENGTH = 1_000_000  # longer metadata is not ours


# Names are shown and written into files: one short line.
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f<>]*$")]


class Metadata(BaseModel):
    """The metadata of a model file. Sizes in pixels are at ``pixel_size_m``."""

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
    # pixels at a tile's border that have weight 0
    margin_px: Annotated[int, Field(ge=0, le=2048)] = 32
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    licence: str = ""
    attribution: str = ""
    recipe: str = ""
    commit: str = ""
    figures: dict[str, float] = {}

    @property
    def class_names(self) -> dict[int, str]:
        """The names of the classes by the numbers that other tools use (RULE).

        >>> Metadata(name="a", classes=("road",)).class_names
        {0: 'background', 1: 'road'}
        >>> Metadata(name="b", classes=("other", "road")).class_names
        {0: 'other', 1: 'road'}
        """
        one = len(self.classes) == 1
        return dict(enumerate(("background", *self.classes) if one else self.classes))

    def to_props(self) -> dict[str, str]:
        """Keys and values for the ONNX file; a std of 1 / 255 undoes Deepness's division by 255."""
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
        """From the metadata properties of an ONNX file, which may contain anything.

        Raises ``ModelError`` that names ``source`` when it is missing or not valid.
        """
        text = props.get(_KEY)
        if text is None:
            raise ModelError(
                f"{source} carries no terralink metadata; export it with 'terralink export'"
            )
        if len(text) > _MAX_JSON_LENGTH:
            raise ModelError(f"{source} carries metadata of {len(text)} characters; refused")
        try:
            metadata = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "JSON"
            raise ModelError(f"{source}: metadata {place}: {first['msg']}") from error
        shifted = json.dumps(dict(enumerate(("background", *metadata.classes))))
        if len(metadata.classes) > 1 and props.get("class_names") == shifted:
            _log.warning(
                "%s was exported by an older version: its classes are right here, but Deepness and "
                "GeoDeep show each under the name of the one before; export it again",
                source,
            )
        return metadata
