"""Model files. ``metadata`` is for everyone; ``onnx`` and ``quantize`` need the extra ``train``."""

from terralink.export.metadata import Metadata

__all__ = ["Metadata"]
