"""A loss for masks that do not depend on where an image begins: two views of it must agree.

Strided convolutions see a scene that is moved by a pixel in another way, so the same road is found
here and lost there. Two views of one sample, moved against each other, are both learned from, and
what both show must get the same probability (as Zhang 2019 measures it, and as consistency
regularisation asks for it; Sajjadi et al. 2016).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from terralink.errors import RecipeError


@dataclass(frozen=True)
class Shift:
    """Two views of ``side_px`` of a larger sample; the second begins at (``down``, ``right``)."""

    down: int
    right: int
    side_px: int

    @classmethod
    def drawn(cls, sample_px: int, max_px: int, rng: np.random.Generator) -> "Shift":
        """Any of 0 to ``max_px`` along each axis; the views are smaller than a sample by that.

        Raises ``RecipeError`` where that leaves nothing.
        """
        if max_px >= sample_px:
            raise RecipeError(
                f"a shift of {max_px} px leaves nothing of samples of {sample_px} px; "
                "make augment.crop_px larger"
            )
        down, right = (int(each) for each in rng.integers(0, max_px + 1, 2))
        return cls(down, right, sample_px - max_px)

    def views(self, samples: Tensor) -> Tensor:
        """(N, ..., H, W) -> (2 N, ..., side_px, side_px): the first views, then the second."""
        side = self.side_px
        first = samples[..., :side, :side]
        second = samples[..., self.down : self.down + side, self.right : self.right + side]
        return torch.cat([first, second])

    def apart(self, prob: Tensor) -> Tensor:
        """How far the probabilities (2 N, K, H, W) of the views differ where both look, 0 to 1.

        The sum of squared differences over the sums of squares: it does not fade where roads are
        few. A sixteenth of the side is left out at the borders, where one view sees less.
        """
        first, second = prob.chunk(2)
        rows, cols = self.side_px - self.down, self.side_px - self.right
        border = self.side_px // 16
        inner = slice(border, rows - border), slice(border, cols - border)
        one = first[..., self.down :, self.right :][(..., *inner)]
        other = second[..., :rows, :cols][(..., *inner)]
        total = one.square().sum() + other.square().sum()
        return (one - other).square().sum() / total.clamp(min=1.0)
