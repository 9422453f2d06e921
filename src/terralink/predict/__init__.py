"""Prediction: a model file and a scene to probabilities. Needs no torch."""

from terralink.predict.ahead import ahead
from terralink.predict.choice import load, shipped
from terralink.predict.corners import corners
from terralink.predict.ensemble import Ensemble
from terralink.predict.geotiff import stored, strip_count, strips, write
from terralink.predict.model import Model, Predictor
from terralink.predict.scene import band_count, bands, blocks, fitted, scene, warn_if_empty

__all__ = [
    "Ensemble",
    "Model",
    "Predictor",
    "ahead",
    "band_count",
    "bands",
    "blocks",
    "corners",
    "fitted",
    "load",
    "scene",
    "shipped",
    "stored",
    "strip_count",
    "strips",
    "warn_if_empty",
    "write",
]
