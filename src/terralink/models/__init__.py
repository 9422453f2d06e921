"""Networks: encoder -> bridge -> decoder -> head. Needs the extra ``train`` (torch)."""

# These three register their networks when they are imported.
from terralink.models import baselines, linknets, unet
from terralink.models.network import create_model, describe, list_models, source
from terralink.models.pretrained import from_pretrained

__all__ = [
    "baselines",
    "create_model",
    "describe",
    "from_pretrained",
    "linknets",
    "list_models",
    "source",
    "unet",
]
