"""Networks: encoder -> bridge -> decoder -> head. Needs the extra ``train`` (torch)."""

from terralink.models import linknet  # noqa: F401  (its members register themselves)
from terralink.models.registry import create_model, describe, list_models

__all__ = ["create_model", "describe", "list_models"]
