"""Options that several commands have, each defined once, and how their texts are read."""

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from terralink import outputs as outputs_rule
from terralink.errors import InputError

if TYPE_CHECKING:
    from terralink.inference import Predictor
    from terralink.raster import Area, SceneOptions, Stretch


class CorruptBlockAction(StrEnum):
    """What to do with a block of a scene that cannot be read."""

    REFUSE = "refuse"
    MASK = "mask"


class ProviderName(StrEnum):
    """What runs a model; see ``terralink.inference.backends``."""

    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"


class StretchMode(StrEnum):
    """How pixel values become the 0 to 255 that a model takes."""

    AUTO = "auto"
    NONE = "none"


Scene = Annotated[
    Path,
    typer.Argument(
        help="A raster that GDAL reads: file, address, folder, pattern or STAC item.",
        show_default=False,
    ),
]

Scenes = Annotated[
    list[Path],
    typer.Argument(metavar="SCENE", help="Rasters that GDAL reads.", show_default=False),
]

Model = Annotated[
    str,
    typer.Option(
        help="A bundled model (see 'terralink models'), an .onnx file, or a training run's folder."
    ),
]

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A bundled model (see 'terralink models'), an .onnx file, or the folder of a training "
        "run; repeat it to average several models.",
        show_default="roads",
    ),
]

Provider = Annotated[
    ProviderName | None,
    typer.Option(
        help="What runs the model: 'openvino' or 'onnxruntime' for .onnx files, 'torch' for runs.",
        show_default="the fastest that is installed",
    ),
]

Weights = Annotated[
    str | None,
    typer.Option(
        metavar="0.25,0.25,0.5",
        help="The weight of each model in the average, in the order of --model.",
        show_default="equal",
    ),
]

PixelSize = Annotated[
    float | None,
    typer.Option(
        "--pixel-size",
        metavar="METRES",
        min=0.001,
        help="Ground size of a pixel, for a scene without a CRS.",
        show_default=False,
    ),
]

Crs = Annotated[
    str | None,
    typer.Option(
        "--crs",
        metavar="EPSG:32611",
        help="The CRS of a raster that has a world file or a transform, but no CRS.",
        show_default=False,
    ),
]

Bands = Annotated[
    str | None,
    typer.Option(
        metavar="1,2,3",
        help="Bands of the scene in the order of the model: numbers from 1, or names (red,green).",
        show_default="all but alpha",
    ),
]

NoDataValues = Annotated[
    list[str] | None,
    typer.Option(
        "--no-data",
        metavar="VALUE",
        help="A pixel value that means no data although no tag says so, or 'none'; repeatable.",
        show_default="detected",
    ),
]

AreaFile = Annotated[
    Path | None,
    typer.Option(
        "--area",
        metavar="FILE",
        help="Polygons (GeoJSON, GeoPackage); only the scene inside them is read.",
        show_default=False,
    ),
]

Bounds = Annotated[
    str | None,
    typer.Option(
        metavar="W,S,E,N",
        help="The same as a box in degrees of longitude and latitude.",
        show_default=False,
    ),
]

OnCorruptBlock = Annotated[
    CorruptBlockAction,
    typer.Option(help="Blocks of the scene that cannot be read: stop, or mask them with a note."),
]

Job = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for the state of the work; after a stop, the same command resumes there.",
        show_default=False,
    ),
]

StretchOption = Annotated[
    StretchMode,
    typer.Option(
        "--stretch",
        help="'auto' adjusts the brightness and contrast of a scene to what models expect.",
    ),
]

Tta = Annotated[
    bool,
    typer.Option("--tta", help="Average over 8 flips and rotations: more accurate, 8 x slower."),
]

Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Pixels with this probability or more are road or building.",
        show_default="the model's",
    ),
]

MinProbability = Annotated[
    float | None,
    typer.Option(
        "--min-probability",
        min=0.0,
        max=1.0,
        help="Land cover: pixels whose highest class probability is lower get no class.",
        show_default=False,
    ),
]

Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace output files that terralink did not write; never an input."
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def check_outputs(
    outputs: Iterable[Path],
    *,
    scenes: Iterable[Path] = (),
    files: Iterable[Path | str | None] = (),
    overwrite: bool = False,
    option: str = "--out",
) -> None:
    """Refuse, before any work, outputs that are inputs or that terralink did not write.

    ``scenes`` are rasters, which may consist of several files; ``files`` are all other inputs.
    """
    outputs = list(outputs)
    inputs: list[Path | str] = [*scenes, *(each for each in files if each is not None)]
    if any(output.exists() for output in outputs):  # else it is no file inside a scene
        from terralink.raster.scene_files import list_local_files

        inputs += [file for scene in scenes for file in list_local_files(scene)]
    outputs_rule.check_outputs(outputs, inputs, overwrite=overwrite, option=option)


def files_of_models(names: Iterable[str] | None) -> list[Path]:
    """The model files, and the files that are read from the folders of runs."""
    files = [Path(name) for name in names or ()]
    return [*files, *(run / name for run in files for name in outputs_rule.CHECKPOINT)]


def parse_band_numbers(text: str | None) -> tuple[int, ...] | None:
    """Read the numbers of bands, counted from 1.

    >>> parse_band_numbers("4,3,2")
    (4, 3, 2)
    """
    if text is None:
        return None
    try:
        bands = tuple(int(number) for number in text.split(","))
    except ValueError:
        bands = ()
    if not bands or min(bands) < 1:
        raise InputError(f"--bands wants numbers from 1, such as 1,2,3; got {text!r}")
    return bands


def parse_bands(text: str | None) -> tuple[int | str, ...] | None:
    """Read the numbers and names of bands.

    >>> parse_bands("4,3,2"), parse_bands("red, nir")
    ((4, 3, 2), ('red', 'nir'))
    """
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if "" in names or any(name.startswith("-") or name == "0" for name in names):
        raise InputError(f"--bands wants numbers from 1 or names, such as 1,2,3; got {text!r}")
    return tuple(int(name) if name.isdecimal() else name for name in names)


def parse_no_data(texts: list[str] | None) -> tuple[float, ...] | None:
    """The pixel values that mean no data; None: they are detected.

    >>> parse_no_data(None), parse_no_data(["none"]), parse_no_data(["0", "-9999"])
    (None, (), (0.0, -9999.0))
    """
    if texts is None:
        return None
    if [level.strip().lower() for level in texts] == ["none"]:
        return ()
    try:
        return tuple(float(level) for text in texts for level in text.split(","))
    except ValueError:
        raise InputError(
            f"--no-data wants a value, such as 0 or -9999, or 'none' alone; got {' '.join(texts)}"
        ) from None


def stem(scene: Path) -> str:
    """The name of a scene's results without suffix; of a pattern, its folder's name.

    >>> stem(Path("in/town.tif")), stem(Path("in/tiles/*.tif"))
    ('town', 'tiles')
    """
    patterned = any(sign in scene.name for sign in "*?") and not os.path.lexists(scene)
    return (scene.resolve().parent.name if patterned else scene.stem) or "scene"


def load_area(file: Path | None, bounds: str | None) -> "Area | None":
    """The area of interest; raises ``InputError``."""
    from terralink.raster import Area
    from terralink.vector.layers import read_area

    if file is not None and bounds is not None:
        raise InputError("--area and --bounds exclude each other; give one of them")
    if bounds is not None:
        return Area.from_bounds(_numbers(bounds, "--bounds", "9,47,9.5,47.25"))
    return None if file is None else read_area(file)


def load_model(
    names: list[str] | None, weights: str | None = None, *, provider: ProviderName | None = None
) -> "Predictor":
    """The model of that name, or the ensemble of several."""
    from terralink import inference

    chosen = None if provider is None else provider.value
    models = [inference.load_model(name, provider=chosen) for name in names or ["roads"]]
    shares = None if weights is None else _numbers(weights, "--weights", "0.5,0.5")
    if len(models) == 1 and shares is None:
        return models[0]
    return inference.Ensemble(models, shares)


def _numbers(text: str, option: str, example: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"{option} wants numbers, such as {example}; got {text!r}") from None


def scene_options(
    *,
    bands: str | None,
    stretch: StretchMode,
    no_data: list[str] | None,
    pixel_size_m: float | None,
    crs: str | None,
    area: Path | None,
    bounds: str | None,
    on_corrupt_block: CorruptBlockAction,
) -> "SceneOptions":
    """How to read a scene, by the options of the command; raises ``InputError``."""
    from terralink.raster import SceneOptions

    return SceneOptions(
        bands=parse_bands(bands),
        stretch=stretch_of(stretch),
        no_data=parse_no_data(no_data),
        assumed_pixel_size_m=pixel_size_m,
        assumed_crs=crs,
        area=load_area(area, bounds),
        mask_corrupt_blocks=on_corrupt_block is CorruptBlockAction.MASK,
    )


def stretch_of(by: StretchMode) -> "Stretch | None":
    """None measures the scene."""
    from terralink.raster import Stretch

    return Stretch.none() if by is StretchMode.NONE else None
