"""``terralink unsubmit``: a table for EPFL's road challenge back to masks."""

from pathlib import Path
from typing import Annotated

import typer

from terralink.cli import console, options


def run(
    submission: Annotated[
        Path, typer.Argument(metavar="CSV", help="As 'submit' writes it.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")] = Path(
        "masks"
    ),
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make masks of a submission to the EPFL road challenge.

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
