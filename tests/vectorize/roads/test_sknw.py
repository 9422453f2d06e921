"""A second opinion on traces of plain skeletons: sknw, where it is installed (it needs numba)."""

import os

import numpy as np
import pytest
from affine import Affine
from skimage.morphology import skeletonize

from terralink.raster import Grid, Raster
from terralink.vectorize import RoadOptions
from terralink.vectorize.roads.tracer import RoadTracer

# Of skeletons so small numba takes longer to compile sknw than Python takes to run it.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
sknw = pytest.importorskip("sknw")


def test_a_plain_skeleton_has_the_same_nodes_and_length() -> None:
    skeleton = np.zeros((60, 60), bool)
    skeleton[30, 5:55] = skeleton[5:55, 20] = skeleton[5:31, 40] = True
    theirs = sknw.build_sknw(skeleton.astype(np.uint16))
    tracer = RoadTracer(RoadOptions(min_spur_m=0, max_gap_m=0, min_component_m=0))
    tracer.add(Raster(skeleton, Grid(skeleton.shape, Affine.identity())))
    ours = tracer.finish()
    assert len(ours.junctions) == theirs.number_of_nodes()
    assert len(ours) == theirs.number_of_edges()
    length_px = sum(edge["weight"] for _, _, edge in theirs.edges(data=True))
    assert ours.length_m.sum() == pytest.approx(length_px, rel=0.02)


def test_two_ways_between_two_junctions_are_both_kept_where_sknw_drops_one() -> None:
    skeleton = np.zeros((60, 80), bool)
    skeleton[30, 5:75] = skeleton[10, 20:60] = True
    skeleton[10:31, 20] = skeleton[10:31, 59] = True
    skeleton = skeletonize(skeleton)  # type: ignore[no-untyped-call]
    theirs = sknw.build_sknw(skeleton.astype(np.uint16))
    tracer = RoadTracer(RoadOptions(min_spur_m=0, max_gap_m=0, min_component_m=0))
    tracer.add(Raster(skeleton, Grid(skeleton.shape, Affine.identity())))
    assert theirs.number_of_edges() == 3
    assert len(tracer.finish()) == 4
