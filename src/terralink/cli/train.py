"""``terralink train``: a recipe and data to a checkpoint."""

from time import perf_counter
from typing import Annotated

import typer

from terralink.cli import console, options, runs
from terralink.errors import InputError


def run(
    recipe: runs.RecipeName,
    data: runs.Data,
    out: runs.Out,
    settings: runs.Settings = None,
    start: runs.Start = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run was stopped.")
    ] = False,
    devices: runs.Devices = 1,
    hosts: runs.Hosts = 1,
    as_json: options.AsJson = False,
) -> None:
    """Train a network as a recipe says (extra 'train').

    The result is a folder with the checkpoint (model.safetensors, config.json), the recipe as it
    was run, scores.json, and report.html to look at. 'terralink export' makes a model file of it.
    Of an ensemble it is a folder with one for each member, and the scores of their mean.
    """
    started = perf_counter()
    with runs.training():
        from terralink import train

        changes, processes = runs.changes(settings), train.Processes(devices, hosts)
        done_before = train.finished(out) is not None
        if train.is_ensemble(recipe):
            if start:
                raise InputError(f"ensemble {recipe!r} has no single run to go on from; no --start")
            name = (ensemble := train.Ensemble.named(recipe)).name
            scores = train.fit_ensemble(ensemble, data, out, changes=changes, processes=processes)
        else:
            name = (chosen := train.Recipe.named(recipe, changes)).name
            scores = train.fit(chosen, data, out, start=start, resume=resume, processes=processes)
    if scores is None:  # the first process speaks for all
        return
    if done_before:
        console.note(f"{out} holds this run, which came to its end before: nothing was changed")
    took_s = perf_counter() - started
    console.show(
        {"recipe": name, "scores": scores, "seconds": took_s, "written": [str(out)]},
        as_json=as_json,
        lines=[
            ("recipe", name),
            *((name, f"{value:.4g}") for name, value in scores.items()),
            ("took", console.duration(took_s)),
            ("written", out),
        ],
    )
