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
class PairScore:
    """The part of a pair, and where its sides are, if both are somewhere.

    Masks are compared pixel by pixel: they are of one place, or an error.

    masked      one side has no valid pixel: there is nothing to judge
    without_scale  lengths are in pixels, since nothing says how large they are
    """

    part: Any
    extents: tuple[Extent, Extent] | None = None
    disjoint: bool = False
    masked: bool = False
    without_scale: bool = False


@dataclass(frozen=True)
class Task:
    """One way to score.

    score_pair  a pair to its part
    to_figures  a part, or a sum of parts, to named numbers
    key_figure  the name of the figure that cases are sorted by
    rules       the names of those of ``Rules`` that it goes by
    """

    score_pair: Callable[[Pair, Rules], PairScore]
    to_figures: Callable[[Any], Figures]
    key_figure: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A pair and its figures."""

    pair: Pair
    figures: Figures


@dataclass(frozen=True)
class Result:
    """All cases, the figures of their sum, and what they were judged by.

    disjoint       the names of pairs that do not overlap: they are zeros
    masked         those without a pixel that is valid on both sides: they do not count
    without_scale  those whose lengths are in pixels
    """

    task: str
    cases: tuple[Case, ...]
    figures: Figures
    rules: Rules
    disjoint: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    without_scale: tuple[str, ...] = ()

    @property
    def parameters(self) -> Mapping[str, float | str]:
        """The rules that this kind goes by; without a threshold all but 0 is positive."""
        named = {name: getattr(self.rules, name) for name in TASKS[self.task].rules}
        if self.rules.pixel_size_m is not None:
            named["pixel_size_m"] = self.rules.pixel_size_m
        return {name: "none" if value is None else value for name, value in named.items()}

    @property
    def worst(self) -> list[Case]:
        """The cases from bad to good; those with nothing to judge come last."""
        score = TASKS[self.task].key_figure

        def rank(case: Case) -> tuple[bool, float]:
            return math.isnan(case.figures[score]), case.figures[score]

        return sorted(self.cases, key=rank)


def evaluate_pairs(
    kind: str, pairs: Pairs, rules: Rules, *, progress: Callable[[float], None] = lambda _part: None
) -> Result:
    """Judge all pairs; raises ``InputError`` with the pair's name for what cannot be compared.

    RULE: a pair is apart where both sides are somewhere and not in one place. Where all such pairs
    are, it is an error: the zero would tell of the files. Where some are they are zeros, and named:
    a chip may have its one road in the wrong corner.
    """
    how = TASKS[kind]
    judged = []
    for number, pair in enumerate(pairs.pairs):
        try:
            judged.append(how.score_pair(pair, rules))
        except InputError as error:
            told = str(error)
            raise InputError(told if pair.name in told else f"{pair.name}: {told}") from error
        progress((number + 1) / len(pairs.pairs))
    each = list(zip(pairs.pairs, judged, strict=True))
    return Result(
        kind,
        tuple(Case(pair, how.to_figures(one.part)) for pair, one in each),
        how.to_figures(reduce(add, (one.part for one in judged))),
        rules,
        disjoint=_find_disjoint(each),
        masked=tuple(pair.name for pair, one in each if one.masked),
        without_scale=tuple(pair.name for pair, one in each if one.without_scale),
    )


def _find_disjoint(each: Sequence[tuple[Pair, PairScore]]) -> tuple[str, ...]:
    """The names of the pairs that are apart; raises ``InputError`` where none is together."""
    apart = [(pair.name, one.extents) for pair, one in each if one.extents and one.disjoint]
    if not apart or any(one.extents and not one.disjoint for _, one in each):
        return tuple(name for name, _ in apart)
    name, places = apart[0]
    which = f"the first of {len(apart)} pairs, {name}" if len(each) > 1 else name
    raise InputError(f"{which}: {disjoint_message(*places)}")


def _score_pixels(pair: Pair, rules: Rules) -> PairScore:
    counts = metrics.Confusion.zero()
    for band in inputs.load_masks(pair, rules):
        counts += metrics.Confusion.of(band.truth, band.pred, valid=band.valid)
    return _score_counts(counts)


def _score_patches(pair: Pair, rules: Rules) -> PairScore:
    counts = metrics.Confusion.zero()
    rows = rules.patch_px * max(1, 1024 // rules.patch_px)
    for band in inputs.load_masks(pair, rules, rows=rows):
        counts += metrics.count_patches(
            band.truth, band.pred, patch_px=rules.patch_px, valid=band.valid
        )
    return _score_counts(counts)


def _score_counts(counts: metrics.Confusion) -> PairScore:
    return PairScore(_MaskCounts(counts, counts.image_iou()), masked=not counts.counts.any())


@dataclass(frozen=True)
class _MaskCounts:
    counts: metrics.Confusion
    iou_mean: metrics.ImageMean

    def __add__(self, other: "_MaskCounts") -> "_MaskCounts":
        return _MaskCounts(self.counts + other.counts, self.iou_mean + other.iou_mean)


def _mask_figures(part: _MaskCounts) -> Figures:
    counts = part.counts
    ratios = {name: getattr(counts, name)()[1] for name in ("iou", "f1", "precision", "recall")}
    return {
        **{name: float(value) for name, value in ratios.items()},
        "accuracy": counts.accuracy(),
        "kappa": counts.kappa(),
        "iou_mean_of_images": part.iou_mean.mean,
        "images_left_out": part.iou_mean.left_out,
    }


def _score_roads(pair: Pair, rules: Rules) -> PairScore:
    truth, pred = sides = inputs.load_roads(pair, rules)
    if truth.is_masked or pred.is_masked:
        return _make_pair_score(RoadScores.masked(), sides, within_m=rules.within_m)
    ways = metrics.apls(
        truth.data, pred.data, max_snap_m=rules.within_m, sample=rules.sample, allow_disjoint=True
    )
    part = RoadScores(
        metrics.match_centrelines(
            truth.data, pred.data, within_m=rules.within_m, allow_disjoint=True
        ),
        ways,
        metrics.ImageMean.of(ways.score),
        metrics.measure_connectivity(truth.data),
        metrics.measure_connectivity(pred.data),
    )
    return _make_pair_score(part, sides, within_m=rules.within_m)


def _road_figures(part: RoadScores) -> Figures:
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


def _score_topo(pair: Pair, rules: Rules) -> PairScore:
    truth, pred = sides = inputs.load_roads(pair, rules)
    if truth.is_masked or pred.is_masked:
        return _make_pair_score(metrics.DetectionCounts(), sides, within_m=_HOLE_M)
    part = metrics.topo(truth.data, pred.data, hole_m=_HOLE_M, allow_disjoint=True)
    return _make_pair_score(part, sides, within_m=_HOLE_M)


def _score_buildings(pair: Pair, rules: Rules) -> PairScore:
    truth, pred = sides = inputs.load_buildings(pair, rules)
    if truth.is_masked or pred.is_masked:
        return _make_pair_score(metrics.DetectionCounts(), sides, within_m=0.0)
    part = metrics.match_buildings(
        truth.data, pred.data, iou=rules.iou, min_area_m2=rules.min_area_m2, allow_disjoint=True
    )
    return _make_pair_score(part, sides, within_m=0.0)


def _make_pair_score(
    part: Any, sides: tuple[Side[Any], Side[Any]], *, within_m: float
) -> PairScore:
    there, here = (side.extent for side in sides)
    judged = PairScore(
        part,
        masked=any(side.is_masked for side in sides),
        without_scale=not all(side.has_scale for side in sides),
    )
    if there is None or here is None:
        return judged
    return replace(judged, extents=(there, here), disjoint=there.is_disjoint(here, within_m))


def _detection_figures(part: metrics.DetectionCounts) -> Figures:
    return {
        "f1": part.f1,
        "precision": part.precision,
        "recall": part.recall,
        "truth": part.truth,
        "found": part.matched_truth,
        "pred": part.pred,
        "right": part.matched_pred,
    }


TASKS = {
    "pixels": Task(_score_pixels, _mask_figures, "iou", ("threshold",)),
    "patches": Task(_score_patches, _mask_figures, "f1", ("threshold", "patch_px")),
    "roads": Task(_score_roads, _road_figures, "apls", ("threshold", "within_m", "sample")),
    "topo": Task(_score_topo, _detection_figures, "f1", ("threshold",)),
    "buildings": Task(
        _score_buildings, _detection_figures, "f1", ("threshold", "iou", "min_area_m2")
    ),
}
