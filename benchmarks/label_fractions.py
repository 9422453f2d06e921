"""How much labels of one's own are worth after a first stage: PP-LinkNet's Figure 8, on runs.

    terralink sweep epfl --set train.0.source.fraction=0.01,0.1,1 --data DATA --out one
    terralink sweep epfl_two_stage --start FIRST --set train.0.source.fraction=0.01,0.1,1 \
        --data DATA --out two
    python benchmarks/label_fractions.py one two [--figure epfl/patch_f1] [--out curve.png]

Needs the extra 'train'. Every run below the two folders that came to its end is a point; runs of
the same fraction, such as folds, are given with their mean, least and most. The baseline is the
first folder: one stage.
"""

import argparse
import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from terralink.train import Recipe

Points = dict[float, list[float]]  # figures of the runs at each fraction


def points(folder: Path, figure: str) -> Points:
    """The ``figure`` of every whole run below ``folder``, by the fraction of its first source."""
    found: Points = {}
    for path in sorted(folder.rglob("scores.json")):
        recipe = Recipe.from_file(path.with_name("recipe.yaml"))
        fraction = recipe.train[0].source.fraction
        found.setdefault(fraction, []).append(json.loads(path.read_text())[figure])
    return dict(sorted(found.items()))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def draw(panel: Axes, stages: dict[str, Points], figure: str) -> None:
    for name, found in stages.items():
        shares = [100 * share for share in found]
        panel.plot(shares, [mean(values) for values in found.values()], "o-", label=name)
        least, most = ([pick(values) for values in found.values()] for pick in (min, max))
        panel.fill_between(shares, least, most, alpha=0.2)
    panel.set_xscale("log")
    panel.set_xticks([1, 5, 10, 25, 50, 100], ["1", "5", "10", "25", "50", "100"])
    panel.set_xlabel("% of the labels")
    panel.set_ylabel(figure)
    panel.grid(alpha=0.3)
    panel.legend()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("two", type=Path)
    parser.add_argument("--figure", default="epfl/patch_f1")
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    stages = {
        "one stage": points(wanted.one, wanted.figure),
        "two stages": points(wanted.two, wanted.figure),
    }
    print("| % of the labels | one stage | two stages | difference |")
    print("|---|---|---|---|")
    one, two = stages.values()
    for share in sorted(one.keys() & two.keys()):
        first, second = mean(one[share]), mean(two[share])
        print(f"| {100 * share:g} | {first:.3f} | {second:.3f} | {second - first:+.3f} |")
    if wanted.out:
        figure = Figure(figsize=(6, 4), layout="constrained")
        draw(figure.subplots(), stages, wanted.figure)
        figure.savefig(wanted.out, dpi=110)


if __name__ == "__main__":
    main()
