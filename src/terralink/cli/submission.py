"""``terralink submit`` and ``from-submission``: tables of the EPFL road challenge."""

from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from terralink.cli import console, options
from terralink.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from terralink.inference import Predictor


class Strategy(StrEnum):
    """How an image is shown to the model."""

    CORNERS = "corners"
    WHOLE = "whole"


def run_submit(
    images: Annotated[
        list[Path],
        typer.Argument(
            help="Images with a number in their names, or folders such as test_set_images.",
            show_default=False,
        ),
    ],
    model: options.Model,
    provider: options.Provider = None,
    out: Annotated[Path, typer.Option(metavar="CSV", help="The file to write.")] = Path(
        "submission.csv"
    ),
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Also write the mask of each image as PNG.", show_default=False
        ),
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="'corners' resizes images as 400 px to 384 px and merges four corner crops, for "
            "models that were trained like this; 'whole' leaves the pixels as they are."
        ),
    ] = Strategy.CORNERS,
    threshold: options.Threshold = None,
    tta: options.Tta = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Predict images for the EPFL road challenge.

    The result is a CSV file in the format of the challenge: for each patch of 16 px, 1 where more
    than a quarter of it is road. 'terralink from-submission' turns it into masks, and 'terralink
    evaluate patches TRUTH CSV' scores it.
    """
    from terralink import metrics

    started = perf_counter()
    found = metrics.find_numbered_images(images)
    read = [*found.values(), *options.files_of_models([model])]
    options.check_outputs([out], files=read, overwrite=overwrite)
    if masks is not None:
        drawn = [masks / f"{path.stem}.png" for path in found.values()]
        options.check_outputs(drawn, files=read, overwrite=overwrite, option="--masks")
    ready = options.load_model([model], provider=provider)
    level = ready.metadata.threshold if threshold is None else threshold
    masked: dict[int, NDArray[np.bool_]] = {}
    with console.show_progress(f"submit, {ready.provider}") as update:
        for number, path in found.items():
            masked[number] = _mask(ready, path, level, strategy, tta=tta)
            if masks is not None:
                metrics.write_mask(masks / f"{path.stem}.png", masked[number])
            update(len(masked) / len(found))
    metrics.write_submission(out, masked)
    took_s = perf_counter() - started
    share = sum(int(mask.sum()) for mask in masked.values()) / sum(m.size for m in masked.values())
    record = {
        "images": {f"{number:03d}": str(path) for number, path in found.items()},
        "model": ready.metadata.name,
        "provider": ready.provider,
        "threshold": level,
        "strategy": strategy.value,
        "road": share,
        "seconds": took_s,
        "written": [str(out), *([str(masks)] if masks else [])],
    }
    console.show(
        record,
        as_json=as_json,
        lines=[
            ("images", f"{len(found):,}"),
            ("road", f"{share:.1%} of the pixels, from a probability of {level:g}"),
            ("provider", ready.provider),
            ("took", console.format_duration(took_s)),
            ("written", ", ".join(str(path) for path in (out, masks) if path)),
        ],
    )


def _mask(
    model: "Predictor", path: Path, threshold: float, strategy: Strategy, *, tta: bool
) -> "NDArray[np.bool_]":
    """Where a picture (row, col) is road; its levels are not stretched, as in training."""
    from terralink import inference, raster
    from terralink.inference.model import PROB_SCALE
    from terralink.raster.pixel_values import find_positive

    classes = model.metadata.classes
    if "road" not in classes:
        raise ModelError(
            f"model {model.metadata.name!r} knows {', '.join(classes)}; wanted one that knows road"
        )
    with raster.open_scene(
        path, raster.SceneOptions(stretch=raster.Stretch.none(), no_data=())
    ) as opened:
        scene = inference.conform_scene(model, opened)
        shape = scene.grid.shape
        image = scene.read(0, 0, shape)
        prob: NDArray[np.floating[Any]]
        if strategy is Strategy.CORNERS:
            prob = inference.predict_four_crops(model, image.array, tta=tta)
        else:
            array = inference.predict(model, scene, tta=tta).array
            prob = array.reshape(-1, *shape) / PROB_SCALE
    mask = find_positive(prob[classes.index("road")], threshold)
    return mask if image.valid is None else mask & image.valid


def run_from_submission(
    submission: Annotated[
        Path, typer.Argument(metavar="CSV", help="A table that 'submit' wrote.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")] = Path(
        "masks"
    ),
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Turn a submission to the EPFL road challenge into masks.

    The result is a grey PNG for each image, named by its number, such as 001.png: patches of
    16 x 16 px, 255 where there is road.
    """
    from terralink import metrics

    masks = {
        out / f"{number:03d}.png": mask
        for number, mask in metrics.read_submission(submission).items()
    }
    options.check_outputs(masks, files=[submission], overwrite=overwrite)
    for path, mask in masks.items():
        metrics.write_mask(path, mask)
    record = {"submission": str(submission), "images": len(masks), "written": [str(out)]}
    console.show(record, as_json=as_json, lines=[("images", f"{len(masks):,}"), ("written", out)])
