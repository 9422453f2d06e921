"""What every part of a recipe is made of: values that do not change, and keys that are known."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from terralink.errors import unknown


class Strict(BaseModel):
    """Frozen; a key that is not known is refused, with the nearest that is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key in given:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key", str(key), cls.model_fields))
        return given
