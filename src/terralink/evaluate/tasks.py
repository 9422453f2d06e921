"""What is scored: a kind judges a pair to a part, parts add, and figures are read off their sum."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

from terralink import metrics
from terralink.errors import InputError
from terralink.evaluate import inputs
from terralink.evaluate.inputs import Rules, Side
from terralink.evaluate.pairs import Pair, Pairs
from terralink.vector.projection import Extent, disjoint_message

Figures = Mapping[str, float]  # counts are int

_HOLE_M = 8.0  # how far a marble of TOPO may lie from its hole


@dataclass(frozen=True)
class RoadScores:
    """What is near, which ways are alike, and into how many pieces both fall; parts add."""

    near: metrics.CentrelineMatch
    ways: metrics.Apls
    ways_mean: metrics.ImageMean
    truth: metrics.Components
    pred: metrics.Components

    @classmethod
    def masked(cls) -> "RoadScores":
        """Those of an image without a valid pixel: nothing was judged, the means leave it out."""
        none = metrics.Components.zero()
        left_out = metrics.ImageMean(left_out=1)
        return cls(metrics.CentrelineMatch(), metrics.Apls(), left_out, none, none)

    def __add__(self, other: "RoadScores") -> "RoadScores":
        return RoadScores(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Judged:
    """The part of a pair, and where its sides are, if both are somewhere.

    Masks are compared pixel by pixel: they are of one place, or an error.

    masked      one side has no valid pixel: there is nothing to judge
    unmeasured  lengths are in pixels, since nothing says how large they are
    """

    part: Any
    places: tuple[Extent, Extent] | None = None
    apart: bool = False
    masked: bool = False
    unmeasured: bool = False


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
    """All cases, the figures of their sum, and what they were judged by.

    apart       the names of pairs that do not overlap: they are zeros
    masked      those without a pixel that is valid on both sides: they do not count
    unmeasured  those whose lengths are in pixels
    """

    kind: str
    cases: tuple[Case, ...]
    figures: Figures
    rules: Rules
    apart: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()

    @property
    def judged_by(self) -> Mapping[str, float | str]:
        """The rules that this kind goes by; without a threshold all but 0 is positive."""
        named = {name: getattr(self.rules, name) for name in KINDS[self.kind].rules}
        if self.rules.pixel_size_m is not None:
            named["pixel_size_m"] = self.rules.pixel_size_m
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
        apart=_apart(each),
        masked=tuple(pair.name for pair, one in each if one.masked),
        unmeasured=tuple(pair.name for pair, one in each if one.unmeasured),
    )


def _apart(each: Sequence[tuple[Pair, Judged]]) -> tuple[str, ...]:
    """The names of the pairs that are apart; raises ``InputError`` where none is together."""
    apart = [(pair.name, one.places) for pair, one in each if one.places and one.apart]
    if not apart or any(one.places and not one.apart for _, one in each):
        return tuple(name for name, _ in apart)
    name, places = apart[0]
    which = f"the first of {len(apart)} pairs, {name}" if len(each) > 1 else name
    raise InputError(f"{which}: {disjoint_message(*places)}")


def _pixels(pair: Pair, rules: Rules) -> Judged:
    counts = metrics.Confusion.zero()
    for band in inputs.bands(pair, rules):
        counts += metrics.Confusion.of(band.truth, band.pred, valid=band.valid)
    return _counted(counts)


def _patches(pair: Pair, rules: Rules) -> Judged:
    counts = metrics.Confusion.zero()
    rows = rules.patch_px * max(1, 1024 // rules.patch_px)
    for band in inputs.bands(pair, rules, rows=rows):
        counts += metrics.count_patches(
            band.truth, band.pred, patch_px=rules.patch_px, valid=band.valid
        )
    return _counted(counts)


def _counted(counts: metrics.Confusion) -> Judged:
    return Judged(_Counted(counts, counts.image_iou()), masked=not counts.counts.any())


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
        "images_left_out": part.iou_mean.left_out,
    }


def _roads(pair: Pair, rules: Rules) -> Judged:
    truth, pred = sides = inputs.roads(pair, rules)
    if truth.masked or pred.masked:
        return _placed(RoadScores.masked(), sides, within_m=rules.within_m)
    ways = metrics.apls(
        truth.found, pred.found, max_snap_m=rules.within_m, sample=rules.sample, allow_disjoint=True
    )
    part = RoadScores(
        metrics.match_centrelines(
            truth.found, pred.found, within_m=rules.within_m, allow_disjoint=True
        ),
        ways,
        metrics.ImageMean.of(ways.score),
        metrics.measure_connectivity(truth.found),
        metrics.measure_connectivity(pred.found),
    )
    return _placed(part, sides, within_m=rules.within_m)


def _of_roads(part: RoadScores) -> Figures:
    return {
        "apls": part.ways.score,
        "apls_error": part.ways.error,
        "apls_truth_to_pred": part.ways.truth_to_pred,
        "apls_pred_to_truth": part.ways.pred_to_truth,
        "apls_mean_of_images": part.ways_mean.mean,
        "images_left_out": part.ways_mean.left_out,
        "precision": part.near.precision,
        "recall": part.near.recall,
        "f1": part.near.f1,
        "truth_m": part.near.truth_m,
        "pred_m": part.near.pred_m,
        "truth_pieces": part.truth.count,
        "pred_pieces": part.pred.count,
    }


def _topo(pair: Pair, rules: Rules) -> Judged:
    truth, pred = sides = inputs.roads(pair, rules)
    if truth.masked or pred.masked:
        return _placed(metrics.DetectionCounts(), sides, within_m=_HOLE_M)
    part = metrics.topo(truth.found, pred.found, hole_m=_HOLE_M, allow_disjoint=True)
    return _placed(part, sides, within_m=_HOLE_M)


def _buildings(pair: Pair, rules: Rules) -> Judged:
    truth, pred = sides = inputs.buildings(pair, rules)
    if truth.masked or pred.masked:
        return _placed(metrics.DetectionCounts(), sides, within_m=0.0)
    part = metrics.match_buildings(
        truth.found, pred.found, iou=rules.iou, min_area_m2=rules.min_area_m2, allow_disjoint=True
    )
    return _placed(part, sides, within_m=0.0)


def _placed(part: Any, sides: tuple[Side[Any], Side[Any]], *, within_m: float) -> Judged:
    there, here = (side.extent for side in sides)
    judged = Judged(
        part,
        masked=any(side.masked for side in sides),
        unmeasured=not all(side.measured for side in sides),
    )
    if there is None or here is None:
        return judged
    return replace(judged, places=(there, here), apart=there.is_disjoint(here, within_m))


def _of_matches(part: metrics.DetectionCounts) -> Figures:
    return {
        "f1": part.f1,
        "precision": part.precision,
        "recall": part.recall,
        "truth": part.truth,
        "found": part.matched_truth,
        "pred": part.pred,
        "right": part.matched_pred,
    }


KINDS = {
    "pixels": Kind(_pixels, _of_counts, "iou", ("threshold",)),
    "patches": Kind(_patches, _of_counts, "f1", ("threshold", "patch_px")),
    "roads": Kind(_roads, _of_roads, "apls", ("threshold", "within_m", "sample")),
    "topo": Kind(_topo, _of_matches, "f1", ("threshold",)),
    "buildings": Kind(_buildings, _of_matches, "f1", ("threshold", "iou", "min_area_m2")),
}
