"""Networks: encoder -> bridge -> decoder -> head. Needs the extra ``train`` (torch)."""

# The first three list their members when they are imported.
from terralink.models import baselines, linknet, published, unet
from terralink.models.pretrained import from_pretrained
from terralink.models.registry import create_model, describe, list_models, source

__all__ = [
    "baselines",
    "create_model",
    "describe",
    "from_pretrained",
    "linknet",
    "list_models",
    "published",
    "source",
    "unet",
]
