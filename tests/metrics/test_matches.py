"""Counts of what is found, and matching one to one against a loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terralink.metrics import Matches, Overlap
from terralink.metrics.matches import one_to_one

things = st.integers(0, 5)


@settings(deadline=None)
@given(st.lists(st.tuples(things, things), max_size=25))
def test_pairs_are_taken_as_by_a_loop_that_takes_the_best_that_is_free(
    pairs: list[tuple[int, int]],
) -> None:
    taken: list[int] = []
    for i, (t, p) in enumerate(pairs):
        if all(t != pairs[j][0] and p != pairs[j][1] for j in taken):
            taken.append(i)
    truth, pred = np.array(pairs, np.int64).reshape(-1, 2).T
    assert one_to_one(truth, pred).tolist() == taken


def test_scores_are_ratios_of_the_sums() -> None:
    total = Matches(10, 5, 4, 4) + Matches(0, 0, 6, 1)
    assert (total.recall, total.precision, total.f1) == (0.5, 0.5, 0.5)


def test_nothing_against_nothing_has_no_score_and_something_against_nothing_has_zero() -> None:
    assert math.isnan(Matches().f1)
    assert math.isnan(Overlap().iou)
    assert (Matches(truth=3).recall, Matches(truth=3).f1) == (0, 0)
    assert math.isnan(Matches(truth=3).precision)
    assert (Matches(pred=3).precision, Matches(pred=3).f1) == (0, 0)
    assert Overlap(0, 2).iou == 0


def test_overlaps_add_before_they_are_divided() -> None:
    assert (Overlap(1, 2) + Overlap(0, 2)).iou == pytest.approx(0.25)
