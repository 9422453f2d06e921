"""terralink turns satellite and aerial images into maps: roads, buildings, land cover.

    import terralink

    roads = terralink.extract_roads("vegas.tif", out="vegas.gpkg")
    truth = terralink.RoadGraph.from_file("truth.geojson", noding="vertices")
    print(terralink.apls(truth, roads).score)

``__all__`` is the public API; docs/api.md describes it. A name is imported when it is first used,
so ``import terralink`` costs a few milliseconds and loads no numpy, no OpenVINO and no torch.

RULE: nothing leaves the machine that the user did not ask for. The telemetry of other packages is
turned off here, before any of them can be imported.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terralink.errors import TerralinkError
    from terralink.graph import RoadGraph
    from terralink.inference import list_models, load_model, predict, predict_to_file
    from terralink.metrics import apls, match_buildings, match_centrelines, match_pixels, topo
    from terralink.pipeline.extract import (
        extract_buildings,
        extract_landcover,
        extract_map,
        extract_roads,
    )
    from terralink.raster import (
        Area,
        Grid,
        Raster,
        Scene,
        SceneOptions,
        Stretch,
        open_scene,
        read_raster,
    )
    from terralink.vectorize import (
        BuildingOptions,
        LandcoverOptions,
        RoadOptions,
        trace_buildings,
        trace_landcover,
        trace_roads,
    )

__version__ = "0.1.0"

__all__ = [
    "Area",
    "BuildingOptions",
    "Grid",
    "LandcoverOptions",
    "Raster",
    "RoadGraph",
    "RoadOptions",
    "Scene",
    "SceneOptions",
    "Stretch",
    "TerralinkError",
    "apls",
    "extract_buildings",
    "extract_landcover",
    "extract_map",
    "extract_roads",
    "list_models",
    "load_model",
    "match_buildings",
    "match_centrelines",
    "match_pixels",
    "open_scene",
    "predict",
    "predict_to_file",
    "read_raster",
    "topo",
    "trace_buildings",
    "trace_landcover",
    "trace_roads",
]

# The module of each public name.
_SOURCES = {
    "Area": "raster",
    "BuildingOptions": "vectorize",
    "Grid": "raster",
    "LandcoverOptions": "vectorize",
    "Raster": "raster",
    "RoadGraph": "graph",
    "RoadOptions": "vectorize",
    "Scene": "raster",
    "SceneOptions": "raster",
    "Stretch": "raster",
    "TerralinkError": "errors",
    "apls": "metrics",
    "extract_buildings": "pipeline.extract",
    "extract_landcover": "pipeline.extract",
    "extract_map": "pipeline.extract",
    "extract_roads": "pipeline.extract",
    "list_models": "inference",
    "load_model": "inference",
    "match_buildings": "metrics",
    "match_centrelines": "metrics",
    "match_pixels": "metrics",
    "open_scene": "raster",
    "predict": "inference",
    "predict_to_file": "inference",
    "read_raster": "raster",
    "topo": "metrics",
    "trace_buildings": "vectorize",
    "trace_landcover": "vectorize",
    "trace_roads": "vectorize",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_SOURCES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# OpenVINO posts each import to an analytics server, unless this package is missing.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python reports it as missing
# Recent ONNX Runtimes store an identifier and a queue of events in the home folder.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# The client of the Hugging Face hub, which timm uses, and others that read this variable.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["DO_NOT_TRACK"] = "1"
