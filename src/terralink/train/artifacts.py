"""What a run writes while it trains and at its end: checkpoints, overlays, curves, report.html.

Checkpoints are written as a whole or not at all, and never with weights that are not finite: so
neither a full disk nor a run that diverges loses the last good one.
"""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import matplotlib
import numpy as np
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar, WeightAveraging
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from terralink import report
from terralink.atomic_write import write_atomically
from terralink.data.chips import IGNORE
from terralink.errors import TrainingError
from terralink.train.recipe import Recipe

_SHOWN = 3  # chips of each validation set
_GAP_PX = 6
_RECORDED = ("commit", "command", "python", "machine", "gpus")

Curve = list[tuple[float, float]]


class Overlays(L.Callback):
    """After each validation, image, truth and prediction of the first chips side by side."""

    def __init__(self, names: tuple[str, ...], out: Path):
        self.names, self.out = names, out / "overlays"

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        _module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx >= _SHOWN or not trainer.is_global_zero:
            return
        sheet = draw_side_by_side(batch["image"][0], batch["mask"][0], outputs[0])
        name = f"{self.names[dataloader_idx]}_{batch_idx}_step{trainer.global_step:06d}.jpg"
        with write_atomically(self.out / name) as part:
            sheet.save(part, "JPEG", quality=85)


class Progress(RichProgressBar):
    """Lightning's bar, which says which of how many epochs runs: the loop counts steps alone."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1}/{self.epochs}"


def draw_side_by_side(image: Tensor, mask: Tensor, prob: Tensor) -> Image.Image:
    """Image (C, H, W) 0..255, truth (H, W) and probabilities (K, H, W), left to right."""
    shown = image[:3] if len(image) >= 3 else image[:1].expand(3, -1, -1)
    pixels = shown.cpu().numpy().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    truth, found = mask.cpu().numpy(), prob.float().cpu().numpy()
    if len(found) == 1:
        views = [_map_grey(np.where(truth == IGNORE, 0.5, truth == 1)), _map_grey(found[0])]
    else:
        views = [_map_classes(truth), _map_classes(found.argmax(axis=0))]
    gap = np.full((len(pixels), _GAP_PX, 3), 255, np.uint8)
    return Image.fromarray(np.hstack([pixels, gap, views[0], gap, views[1]]))


def _map_grey(share: NDArray[Any]) -> NDArray[np.uint8]:
    return _drop_alpha(matplotlib.colormaps["magma"](share))


def _map_classes(classes: NDArray[Any]) -> NDArray[np.uint8]:
    return _drop_alpha(matplotlib.colormaps["tab20"](classes % 20))


def _drop_alpha(rgba: NDArray[Any]) -> NDArray[np.uint8]:
    return (rgba[..., :3] * 255).astype(np.uint8)


def curves(out: Path) -> dict[str, Curve]:
    """Every figure of the run as points (step, value), over all its starts, from log/."""
    figures: dict[str, dict[float, float]] = {}
    starts = sorted(out.glob("log/version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    for path in starts:
        with path.open(newline="", encoding="utf-8") as lines:
            for row in csv.DictReader(lines):
                step = float(row["step"])
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        figures.setdefault(name, {})[step] = float(value)
    return {name: sorted(points.items()) for name, points in figures.items()}


def write(recipe: Recipe, out: Path, scores: Mapping[str, float]) -> None:
    """Draw the curves as curves.png and gather all in report.html, in the run folder ``out``."""
    with write_atomically(out / "curves.png") as part:
        _draw_curves(curves(out)).savefig(part, dpi=110)
    _page(recipe, out, scores).write(out / "report.html")


def _draw_curves(figures: Mapping[str, Curve]) -> Figure:
    """The loss, then one panel for each validation set's overlaps and F1."""
    sets = sorted({name.partition("/")[0] for name in figures if "/" in name})
    figure = Figure(figsize=(4.2 * (1 + len(sets)), 3.8), layout="constrained")
    panels = figure.subplots(1, 1 + len(sets), squeeze=False)[0]
    for panel, title in zip(panels, ["loss", *sets], strict=True):
        panel.set_title(title)
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
        for name, points in figures.items():
            if name.startswith("loss") if title == "loss" else name.startswith(f"{title}/"):
                style = "-" if len(points) > 2 else "o"
                panel.plot(*zip(*points, strict=True), style, label=name.rpartition("/")[2])
        panel.legend(
            fontsize="small", frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(0, -0.18)
        )
    return figure


def _page(recipe: Recipe, out: Path, scores: Mapping[str, float]) -> report.Page:
    environment = json.loads((out / "environment.json").read_text(encoding="utf-8"))
    paper = recipe.paper.figures.items() if recipe.paper else ()
    where = recipe.paper.where if recipe.paper else ""
    rows = [(name, f"{value:.3f}", "") for name, value in scores.items()]
    rows += [(name, f"{value:.3f}", where) for name, value in paper]
    overlays = [report.Figure(path.stem, path) for path in _find_latest(out / "overlays")]
    return report.Page(
        recipe.name,
        recipe.about,
        tables=[report.Table("Scores at the end", rows)],
        figures=[report.Figure("Loss and figures over the steps", out / "curves.png"), *overlays],
        listings=[report.Listing("Recipe", recipe.to_yaml())],
        provenance={key: str(environment[key]) for key in _RECORDED},
    )


def _find_latest(folder: Path) -> list[Path]:
    """The pictures of the last validation."""
    pictures = sorted(folder.glob("*.jpg"))
    last = max((path.stem.rpartition("_")[2] for path in pictures), default="")
    return [path for path in pictures if path.stem.endswith(last)]


LAST, BEST = "last", "best"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's files, each written beside its name and moved when it is whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        del storage_options
        bad_keys = [key for key, value in checkpoint["state_dict"].items() if not _is_finite(value)]
        if bad_keys:
            raise TrainingError(
                f"{len(bad_keys)} weights are not finite, such as {bad_keys[0]}; {path} still "
                "holds those of before: lower the learning rate, or clip the gradients"
            )
        # Through a file of Python's, whose error says that the disk is full.
        with write_atomically(Path(path)) as part, part.open("wb") as file:
            torch.save(checkpoint, file)


def callbacks(recipe: Recipe, out: Path) -> list[Any]:
    """Keep the last checkpoint, the best one by the recipe's figure, and averaged weights."""
    wanted = recipe.trainer
    active: list[Any] = [
        ModelCheckpoint(out, LAST, enable_version_counter=False, save_on_train_epoch_end=True)
    ]
    if wanted.monitor:
        active.append(
            ModelCheckpoint(
                out, BEST, monitor=wanted.monitor, mode="max", enable_version_counter=False
            )
        )
    if wanted.ema_decay:
        active.append(WeightAveraging(avg_fn=moving_average(wanted.ema_decay)))
    return active


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """How the average of ``count`` steps' weights takes in the next ones.

    An exponential average that begins with a short memory, min(decay, (1 + count) / (10 + count)),
    so that it follows the first steps and forgets the start (as TensorFlow's and timm's do).

    >>> moving_average(0.998)(torch.tensor(0.0), torch.tensor(1.0), 8)
    tensor(0.5000)
    """

    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        return keep * average + (1 - keep) * current

    return update


def _is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The network's tensors in a checkpoint of a run, averaged where the run averages."""
    state: Mapping[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state
