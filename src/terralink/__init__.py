"""terralink turns satellite and aerial images into maps.

Import the room you need; this file imports nothing, so that ``import terralink`` is free:

    from terralink import extract, geo, graph, metrics, models, predict, vectorize

RULE: nothing leaves the machine that the user did not ask for. What packages report to their makers
is turned off here, before any of them can be imported.
"""

import os
import sys

__version__ = "0.1.0"

# OpenVINO posts each import to an analytics server, unless this package is not there.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # so Python says "not there"
# Recent ONNX Runtimes keep an id and a queue of events for their maker in the home folder.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# The client of the Hugging Face hub, which timm asks for weights, and others that honour this.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
