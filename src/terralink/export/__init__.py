"""Model files. ``metadata`` is for everyone; ``onnx`` and ``quantize`` need the extra ``train``."""

from terralink.model_card import Metadata

__all__ = ["Metadata"]
