"""Checkpoints and networks to model files (ONNX). Needs the extra ``train``."""
