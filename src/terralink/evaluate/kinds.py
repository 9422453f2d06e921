"""What is scored: a kind judges a pair to a part, parts add, and figures are read off their sum."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from terralink import metrics
from terralink.errors import InputError
from terralink.evaluate import inputs
from terralink.evaluate.pairs import Pair, Pairs
from terralink.metrics.extents import Extent, told_apart

Figures = Mapping[str, float]

_HOLE_M = 8.0  # how far a marble of TOPO may lie from its hole


@dataclass(frozen=True)
class Rules:
    """How to judge: see the options of ``terralink evaluate``."""

    threshold: float | None = None
    patch_px: int = 16
    within_m: float = 4.0
    iou: float = 0.5
    min_area_m2: float = 0.0
    sample: int | None = None


@dataclass(frozen=True)
class RoadScores:
    """What is near, which ways are alike, and into how many pieces both fall; parts add."""

    near: metrics.CentrelineMatch
    ways: metrics.Apls
    ways_mean: metrics.ImageMean
    truth: metrics.Components
    pred: metrics.Components

    def __add__(self, other: "RoadScores") -> "RoadScores":
        return RoadScores(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Judged:
    """The part of a pair, and where its sides are, if both are somewhere.

    Masks are compared pixel by pixel: they are of one place, or an error.
    """

    part: Any
    places: tuple[Extent, Extent] | None = None
    apart: bool = False


@dataclass(frozen=True)
class Kind:
    """One way to score.

    judge    a pair to its part
    figures  a part, or a sum of parts, to named numbers
    score    the figure that tells good cases from bad
    rules    the names of those of ``Rules`` that it goes by
    """

    judge: Callable[[Pair, Rules], Judged]
    figures: Callable[[Any], Figures]
    score: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A pair and its figures."""

    pair: Pair
    figures: Figures


@dataclass(frozen=True)
class Result:
    """All cases, the figures of their sum, what they were judged by, and which do not overlap."""

    kind: str
    cases: tuple[Case, ...]
    figures: Figures
    rules: Rules
    apart: tuple[str, ...] = ()

    @property
    def judged_by(self) -> Mapping[str, float | str]:
        """The rules that this kind goes by; without a threshold all but 0 is positive."""
        named = {name: getattr(self.rules, name) for name in KINDS[self.kind].rules}
        return {name: "none" if value is None else value for name, value in named.items()}

    @property
    def worst(self) -> list[Case]:
        """The cases from bad to good; those with nothing to judge come last."""
        score = KINDS[self.kind].score

        def rank(case: Case) -> tuple[bool, float]:
            return math.isnan(case.figures[score]), case.figures[score]

        return sorted(self.cases, key=rank)


def evaluate(
    kind: str, pairs: Pairs, rules: Rules, *, progress: Callable[[float], None] = lambda _part: None
) -> Result:
    """Judge all pairs; raises ``InputError`` with the pair's name for what cannot be compared.

    RULE: a pair is apart where both sides are somewhere and not in one place. Where all such pairs
    are, it is an error: the zero would tell of the files. Where some are they are zeros, and named:
    a chip may have its one road in the wrong corner.
    """
    how = KINDS[kind]
    judged = []
    for number, pair in enumerate(pairs.pairs):
        try:
            judged.append(how.judge(pair, rules))
        except InputError as error:
            told = str(error)
            raise InputError(told if pair.name in told else f"{pair.name}: {told}") from error
        progress((number + 1) / len(pairs.pairs))
    each = list(zip(pairs.pairs, judged, strict=True))
    return Result(
        kind,
        tuple(Case(pair, how.figures(one.part)) for pair, one in each),
        how.figures(reduce(add, (one.part for one in judged))),
        rules,
        _apart(each),
    )


def _apart(each: Sequence[tuple[Pair, Judged]]) -> tuple[str, ...]:
    """The names of the pairs that are apart; raises ``InputError`` where none is together."""
    apart = [(pair.name, one.places) for pair, one in each if one.places and one.apart]
    if not apart or any(one.places and not one.apart for _, one in each):
        return tuple(name for name, _ in apart)
    name, places = apart[0]
    which = f"the first of {len(apart)} pairs, {name}" if len(each) > 1 else name
    raise InputError(f"{which}: {told_apart(*places)}")


def _pixels(pair: Pair, rules: Rules) -> Judged:
    counts = metrics.Confusion.zero()
    for band in inputs.bands(pair, rules.threshold):
        counts += metrics.Confusion.of(band.truth, band.pred, valid=band.valid)
    return Judged(_Counted(counts, counts.image_iou()))


def _patches(pair: Pair, rules: Rules) -> Judged:
    counts = metrics.Confusion.zero()
    rows = rules.patch_px * max(1, 1024 // rules.patch_px)
    for band in inputs.bands(pair, rules.threshold, rows=rows):
        counts += metrics.patches(band.truth, band.pred, patch_px=rules.patch_px, valid=band.valid)
    return Judged(_Counted(counts, counts.image_iou()))


@dataclass(frozen=True)
class _Counted:
    counts: metrics.Confusion
    iou_mean: metrics.ImageMean

    def __add__(self, other: "_Counted") -> "_Counted":
        return _Counted(self.counts + other.counts, self.iou_mean + other.iou_mean)


def _of_counts(part: _Counted) -> Figures:
    counts = part.counts
    ratios = {name: getattr(counts, name)()[1] for name in ("iou", "f1", "precision", "recall")}
    return {
        **{name: float(value) for name, value in ratios.items()},
        "accuracy": counts.accuracy(),
        "kappa": counts.kappa(),
        "iou_mean_of_images": part.iou_mean.mean,
    }


def _roads(pair: Pair, rules: Rules) -> Judged:
    truth, pred = (inputs.roads(path, rules.threshold) for path in (pair.truth, pair.pred))
    ways = metrics.apls(
        truth, pred, max_snap_m=rules.within_m, sample=rules.sample, may_be_apart=True
    )
    part = RoadScores(
        metrics.centreline_match(truth, pred, within_m=rules.within_m, may_be_apart=True),
        ways,
        metrics.ImageMean.of(ways.score),
        metrics.connectivity(truth),
        metrics.connectivity(pred),
    )
    return _placed(part, pair, truth, pred, within_m=rules.within_m)


def _of_roads(part: RoadScores) -> Figures:
    return {
        "apls": part.ways.score,
        "apls_error": part.ways.error,
        "apls_truth_to_pred": part.ways.truth_to_pred,
        "apls_pred_to_truth": part.ways.pred_to_truth,
        "apls_mean_of_images": part.ways_mean.mean,
        "precision": part.near.precision,
        "recall": part.near.recall,
        "f1": part.near.f1,
        "truth_m": part.near.truth_m,
        "pred_m": part.near.pred_m,
        "truth_pieces": float(part.truth.count),
        "pred_pieces": float(part.pred.count),
    }


def _topo(pair: Pair, rules: Rules) -> Judged:
    truth, pred = (inputs.roads(path, rules.threshold) for path in (pair.truth, pair.pred))
    part = metrics.topo(truth, pred, hole_m=_HOLE_M, may_be_apart=True)
    return _placed(part, pair, truth, pred, within_m=_HOLE_M)


def _buildings(pair: Pair, rules: Rules) -> Judged:
    truth, pred = (inputs.buildings(path, rules.threshold) for path in (pair.truth, pair.pred))
    part = metrics.buildings(
        truth, pred, iou=rules.iou, min_area_m2=rules.min_area_m2, may_be_apart=True
    )
    return _placed(part, pair, truth, pred, within_m=0.0)


def _placed(
    part: Any, pair: Pair, truth: inputs.Found, pred: inputs.Found, *, within_m: float
) -> Judged:
    there, here = inputs.extent(pair.truth, truth), inputs.extent(pair.pred, pred)
    if there is None or here is None:
        return Judged(part)
    return Judged(part, (there, here), there.is_apart(here, within_m))


def _of_matches(part: metrics.Matches) -> Figures:
    return {
        "f1": part.f1,
        "precision": part.precision,
        "recall": part.recall,
        "truth": float(part.truth),
        "found": float(part.found),
        "pred": float(part.pred),
        "right": float(part.right),
    }


KINDS = {
    "pixels": Kind(_pixels, _of_counts, "iou", ("threshold",)),
    "patches": Kind(_patches, _of_counts, "f1", ("threshold", "patch_px")),
    "roads": Kind(_roads, _of_roads, "apls", ("threshold", "within_m", "sample")),
    "topo": Kind(_topo, _of_matches, "f1", ("threshold",)),
    "buildings": Kind(_buildings, _of_matches, "f1", ("threshold", "iou", "min_area_m2")),
}
