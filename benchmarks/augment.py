"""Samples a second that one thread augments, from 1024 px chips of three bands.

    python benchmarks/augment.py

Processor time, so that other work on the machine counts less. A training that takes in fewer crops
a second than its workers make is not held up by them.
"""

from time import process_time
from typing import Any

import numpy as np
import torch

from terralink.data.augment import Augment
from terralink.data.chips import Chip
from terralink.train import Recipe

_ROUNDS = 60
_DLINKNET: dict[str, Any] = {
    "crop_px": 512,
    "warp_p": 0.5,
    "scale": (0.9, 1.1),
    "aspect": (0.9, 1.1),
    "shift_px": (-51, 51),
    "hsv_p": 0.5,
    "hue_deg": (-60, 60),
    "saturation_shift": (-5, 5),
    "value_shift": (-15, 15),
}
_LINKNETB7: dict[str, Any] = {
    "crop_px": 384,
    "fit": "whole",
    "dihedral": False,
    "turns_deg": (0, 45, 90, 135),
    "flips": ("none", "horizontal", "vertical"),
    "shift_px": (-16, 16),
}


def drawn(side_px: int) -> Chip:
    image = np.random.default_rng(0).integers(0, 256, (3, side_px, side_px), dtype=np.uint8)
    return Chip(image, image[0] // 128, "noise")


def samples_per_s(augment: Augment, chip: Chip) -> float:
    augment(chip, np.random.default_rng(0))
    start = process_time()
    for seed in range(_ROUNDS):
        augment(chip, np.random.default_rng(seed))
    return _ROUNDS / (process_time() - start)


def main() -> None:
    torch.set_num_threads(1)
    roads = Recipe.from_name("roads").augment
    cases = {
        "nothing but a crop and the dihedral group, 512 px": (Augment(crop_px=512), 1024),
        "D-LinkNet, 512 px": (Augment(**_DLINKNET), 1024),
        "recipe roads, 512 px": (roads.model_copy(update={"crop_px": 512}), 1024),
        "recipe roads, 256 px": (roads, 1024),
        "LinkNetB7, 400 to 384 px": (Augment(**_LINKNETB7), 400),
    }
    for name, (augment, side_px) in cases.items():
        print(f"{name:52}{samples_per_s(augment, drawn(side_px)):7.1f} samples/s")


if __name__ == "__main__":
    main()
