"""Prediction: a model file and a scene to probabilities. Needs no torch."""

from terralink.predict.model import Model, load, shipped
from terralink.predict.scene import bands, fitted, scene, write

__all__ = ["Model", "bands", "fitted", "load", "scene", "shipped", "write"]
