"""``terralink fit-stages``: noisy labels first, then clean ones."""

from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options, runs


def run(
    recipes: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE...",
            help="The stages in their order, or the last one, if it says what it starts from.",
        ),
    ],
    data: runs.Data,
    out: runs.Out,
    settings: runs.Settings = None,
    devices: runs.Devices = 1,
    hosts: runs.Hosts = 1,
    as_json: options.AsJson = False,
) -> None:
    """Train in stages, each from the weights of the one before (extra 'train').

    The result is a folder with a run for each stage, 1_NAME, 2_NAME and so on; the last one is the
    network. Stages that are done are not run again, so the same command goes on after a stop.
    """
    started = perf_counter()
    with runs.training():
        from terralink import train

        changes = runs.changes(settings)
        if len(recipes) == 1:
            stages = train.chain(recipes[0], changes)
        else:
            stages = [train.Recipe.named(name, changes) for name in recipes]
        done = train.fit_stages(stages, data, out, processes=train.Processes(devices, hosts))
    took_s = perf_counter() - started
    console.show(
        {
            "stages": [{"recipe": recipe.name, "scores": scores} for recipe, scores in done],
            "seconds": took_s,
            "written": [str(out)],
        },
        as_json=as_json,
        lines=[
            *(
                (f"{recipe.name} {name}", f"{value:.4g}")
                for recipe, scores in done
                for name, value in scores.items()
            ),
            ("took", console.duration(took_s)),
            ("written", out),
        ],
    )
