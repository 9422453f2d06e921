"""clDice: do the centre lines of each lie within the other? Gaps weigh more than widths.

Shit et al., *clDice - a Novel Topology-Preserving Loss Function for Tubular Structure
Segmentation*, CVPR 2021: algorithm 1 (soft skeleton) and equations 1 to 3.
"""

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from terralink.losses.pairs import Pairs
from terralink.losses.pixels import Positive, Whole


def cldice(
    logits: Tensor,
    target: Tensor,
    *,
    iterations: Whole = 10,
    smooth: Positive = 1.0,
    background: bool = False,
) -> Tensor:
    """1 - 2 a b / (a + b), over the batch; S is the soft skeleton of what it is given.

    a = sum(S(p) y) / sum(S(p)), the share of the predicted centre line that lies in the truth;
    b = sum(S(y) p) / sum(S(y)), the share of the true one that is predicted. ``smooth`` is added to
    all four sums. ``iterations`` is at least half the width, in px, of the widest road: what is
    wider has no skeleton. Many classes: the mean over all but class 0, which has none either
    (``background=True``: over all). For training it goes beside a loss that keeps areas.
    """
    pairs = Pairs.of(logits, target)
    prob, truth = pairs.areas(background=background)
    counted = pairs.counted[:, None]
    thin_prob = soft_skeleton(prob, counted, iterations=iterations)
    thin_truth = soft_skeleton(truth, counted, iterations=iterations)
    precision = _share(thin_prob, truth, smooth)
    recall = _share(thin_truth, prob, smooth)
    return (1 - 2 * precision * recall / (precision + recall)).mean()


def soft_skeleton(area: Tensor, counted: Tensor, *, iterations: int) -> Tensor:
    """What each of ``iterations`` erosions leaves that an opening would remove; 0 to 1.

    ``area`` is (N, K, H, W) of 0 to 1, ``counted`` (N, 1, H, W). Pixels that do not count, like
    those beyond the border, neither erode their neighbours nor grow over them.
    """
    left = _eroded(area, counted)
    skeleton = torch.relu(area - _dilated(left, counted))
    for _ in range(iterations):
        area, left = left, _eroded(left, counted)
        ridge = torch.relu(area - _dilated(left, counted))
        skeleton = skeleton + (1 - skeleton) * ridge
    return skeleton * counted


def _eroded(area: Tensor, counted: Tensor) -> Tensor:
    """The least of a pixel and its four neighbours."""
    hollow = torch.where(counted, -area, -torch.inf)
    across = max_pool2d(hollow, (1, 3), 1, (0, 1))
    down = max_pool2d(hollow, (3, 1), 1, (1, 0))
    return -torch.where(counted, torch.maximum(across, down), 0)


def _dilated(area: Tensor, counted: Tensor) -> Tensor:
    """The greatest of a pixel and its eight neighbours."""
    return max_pool2d(torch.where(counted, area, 0), 3, 1, 1)


def _share(line: Tensor, area: Tensor, smooth: float) -> Tensor:
    """(K,): the part of the line that lies in the area."""
    within, length = (line * area).sum((0, 2, 3)), line.sum((0, 2, 3))
    return (within + smooth) / (length + smooth)
