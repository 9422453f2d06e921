"""Prediction: a model file and a scene to probabilities. Needs no torch."""

from terralink.inference.ensemble import Ensemble
from terralink.inference.four_crop import corners
from terralink.inference.loading import load, shipped
from terralink.inference.model import Model, Predictor
from terralink.inference.prefetch import ahead
from terralink.inference.scene import band_count, bands, blocks, fitted, scene, warn_if_empty
from terralink.inference.writing import stored, strip_count, strips, write

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
