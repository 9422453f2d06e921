"""Prediction: from a model file and a scene to probabilities. Needs no torch."""

from terralink.inference.backends import list_models, load_model
from terralink.inference.model import PROB_SCALE, Ensemble, Model, Predictor
from terralink.inference.probability_file import (
    count_strips,
    predict_to_file,
    write_and_read_rows,
    write_blocks,
)
from terralink.inference.sliding_window import (
    conform_scene,
    count_bands,
    predict,
    predict_bands,
    predict_blocks,
    predict_four_crops,
    prefetch,
    warn_if_empty,
)
from terralink.inference.tile_plan import TilePlan

__all__ = [
    "PROB_SCALE",
    "Ensemble",
    "Model",
    "Predictor",
    "TilePlan",
    "conform_scene",
    "count_bands",
    "count_strips",
    "list_models",
    "load_model",
    "predict",
    "predict_bands",
    "predict_blocks",
    "predict_four_crops",
    "predict_to_file",
    "prefetch",
    "warn_if_empty",
    "write_and_read_rows",
    "write_blocks",
]
