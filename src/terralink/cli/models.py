"""``terralink models`` and ``terralink recipes``: lists of models, networks and recipes."""

import json
from collections.abc import Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from terralink.cli import console, options
from terralink.cli.training import require_training
from terralink.errors import ModelError, unknown


def run_models(
    name: Annotated[
        str | None, typer.Argument(help="A model or network to describe.", show_default=False)
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="The measured cost of each network.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """List the bundled models, or describe one.

    The result is a table of the models with their purpose and figures, followed by the networks
    that can be trained, if the extra 'train' is installed. With --details it is a table of the
    networks: parameters, file size, GFLOP and seconds per tile, receptive field, and the paper.
    """
    if details:
        _show_details(name, as_json=as_json)
        return
    bundled, networks = _bundled(), _networks()
    if name is None:
        lines = [(each, _line(metadata)) for each, metadata in bundled.items()]
        console.show(
            {"models": list(bundled.values()), "networks": networks},
            as_json=as_json,
            lines=[*lines, *networks.items()] or [("none", "no model is bundled")],
        )
    elif name in bundled:
        console.show(bundled[name], as_json=as_json, lines=_metadata_lines(bundled[name]))
    elif name in networks:
        record = {"name": name, "about": networks[name]}
        console.show(record, as_json=as_json, lines=list(record.items()))
    else:
        raise ModelError(unknown("model", name, [*bundled, *networks]))


def _show_details(name: str | None, *, as_json: bool) -> None:
    measured = json.loads((resources.files("terralink") / "models" / "figures.json").read_text())
    about, networks = measured["about"], measured["networks"]
    if name is not None:
        if name not in networks:
            raise ModelError(unknown("network with figures", name, networks))
        networks = {name: networks[name]}
    seconds = f"s for {about['tile_px']} px"
    columns = ("network", "parameters", "file MB", "GFLOP", seconds, "bridge sees", "paper")
    rows = [columns, *(_details(name, figures) for name, figures in networks.items())]
    console.show(
        {"about": about, "networks": networks},
        as_json=as_json,
        lines=[(row[0], _aligned(row[1:], rows)) for row in rows]
        + [("", f"seconds: {about['runtime']}, {about['machine']}, {about['date']}")],
    )


def _details(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    sees = "the tile" if figures["reach_px"] is None else f"{figures['reach_px']:,} px"
    return (
        name,
        f"{figures['parameters']:,}",
        f"{figures['file_mb']:,.1f}",
        f"{figures['gflop']:,.0f}",
        "" if figures["seconds"] is None else f"{figures['seconds']:.2f}",
        sees,
        figures["paper"] or "this project",
    )


def _aligned(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Numbers to the right, the last cell as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(1, len(cells))]
    padded = [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False)]
    return "  ".join([*padded, cells[-1]])


def _bundled() -> dict[str, dict[str, Any]]:
    """The cards of the shipped models by name."""
    from terralink import inference

    models = {name: inference.load_model(name) for name in inference.list_models()}
    return {name: model.metadata.model_dump() for name, model in models.items()}


def _networks() -> dict[str, str]:
    """The networks by name, each with its line; none where torch is not installed."""
    if find_spec("torch") is None:
        return {}
    from terralink import models

    return {name: models.describe(name) for name in models.list_models()}


def _line(metadata: dict[str, Any]) -> str:
    return f"{metadata['about']} {_figures(metadata)}".strip()


def _metadata_lines(metadata: dict[str, Any]) -> list[tuple[str, object]]:
    """All that a card says, one line each."""
    lines = {**metadata, "figures": _figures(metadata), "recipe": "stored in the file"}
    return [
        (key, ", ".join(value) if isinstance(value, list | tuple) else value)
        for key, value in lines.items()
        if value not in ("", None)
    ]


def _figures(metadata: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in metadata["figures"].items())


def run_recipes(
    name: Annotated[
        str | None, typer.Argument(help="A recipe to print.", show_default=False)
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="Update the tables of a Markdown page."),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """List the recipes of 'terralink train', or print one.

    The result is a table of recipes and ensembles for each paper, with the paper's figures; or one
    of them as YAML to copy and change.
    """
    with require_training():
        from terralink.train import catalogue
    if name is not None:
        shown = catalogue.load_entry(name)
        as_yaml = catalogue.to_yaml(shown).rstrip()
        print(json.dumps(shown.model_dump(mode="json")) if as_json else as_yaml)
    elif into is not None:
        catalogue.update_page(into)
        console.show({"written": [str(into)]}, as_json=as_json, lines=[("written", into)])
    elif as_json:
        entries = [each for group in catalogue.list_groups() for each in group.entries.values()]
        console.show_json({"recipes": [each.model_dump(mode="json") for each in entries]})
    else:
        for number, group in enumerate(catalogue.list_groups()):
            if number:
                print()
            print(group.title)
            figures = [catalogue.format_figures(each.paper) for each in group.entries.values()]
            widest = max(map(len, figures))
            console.show_table(
                [
                    (name, f"{reached:<{widest + 2}}{each.about}" if widest else each.about)
                    for reached, (name, each) in zip(figures, group.entries.items(), strict=True)
                ]
            )
