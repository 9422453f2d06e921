"""What can be scored: a task scores each pair, scores add, and figures come from their sum."""

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

_HOLE_M = 8.0  # TOPO: the maximum distance of a marble from its hole


@dataclass(frozen=True)
class RoadScores:
    """Matched centre lines, APLS, and connected components of both graphs; scores add."""

    centrelines: metrics.CentrelineMatch
    paths: metrics.Apls
    paths_mean: metrics.ImageMean
    truth: metrics.Components
    pred: metrics.Components

    @classmethod
    def masked(cls) -> "RoadScores":
        """The scores of an image without a valid pixel, which the means leave out."""
        none = metrics.Components.zero()
        left_out = metrics.ImageMean(left_out=1)
        return cls(metrics.CentrelineMatch(), metrics.Apls(), left_out, none, none)

    def __add__(self, other: "RoadScores") -> "RoadScores":
        return RoadScores(*map(add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class PairScore:
    """The score of a pair (``part``, a value that adds), and the extents of both files.

    The extents are None for masks, which are compared pixel by pixel, and if a file is empty.

    masked         one file has no valid pixel: the pair does not count
    without_scale  lengths are in pixels, since the pixel size is unknown
    """

    part: Any
    extents: tuple[Extent, Extent] | None = None
    disjoint: bool = False
    masked: bool = False
    without_scale: bool = False


@dataclass(frozen=True)
class Task:
    """One way to score.

    score_pair  scores a pair
    to_figures  makes named numbers of a score, or of a sum of scores
    key_figure  the name of the figure that cases are sorted by
    rules       the names of the ``Rules`` that it uses
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
    """All cases, the figures of their sum, and the rules.

    disjoint       names of pairs that do not overlap, whose score is 0
    masked         names of pairs without a pixel that is valid in both, which do not count
    without_scale  names of pairs whose lengths are in pixels
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
        """The rules that this task uses; without a threshold all values but 0 are positive."""
        values = {name: getattr(self.rules, name) for name in TASKS[self.task].rules}
        if self.rules.pixel_size_m is not None:
            values["pixel_size_m"] = self.rules.pixel_size_m
        return {name: "none" if value is None else value for name, value in values.items()}

    @property
    def worst(self) -> list[Case]:
        """The cases from bad to good; those without a score come last."""
        score = TASKS[self.task].key_figure

        def rank(case: Case) -> tuple[bool, float]:
            return math.isnan(case.figures[score]), case.figures[score]

        return sorted(self.cases, key=rank)


def evaluate_pairs(
    task: str, pairs: Pairs, rules: Rules, *, progress: Callable[[float], None] = lambda _part: None
) -> Result:
    """Score all pairs; ``task`` is a key of ``TASKS``.

    RULE: a pair is disjoint if the extents of its files do not overlap. If all pairs with extents
    are disjoint it is an error: a zero would be a property of the files. If some are, their score
    is 0 and the result names them: a chip may have its one road in the wrong corner.

    Raises ``InputError``, with the name of the pair, for files that cannot be compared.
    """
    how = TASKS[task]
    scores = []
    for number, pair in enumerate(pairs.pairs):
        try:
            scores.append(how.score_pair(pair, rules))
        except InputError as error:
            message = str(error)
            if pair.name not in message:
                message = f"{pair.name}: {message}"
            raise InputError(message) from error
        progress((number + 1) / len(pairs.pairs))
    scored = list(zip(pairs.pairs, scores, strict=True))
    return Result(
        task,
        tuple(Case(pair, how.to_figures(score.part)) for pair, score in scored),
        how.to_figures(reduce(add, (score.part for score in scores))),
        rules,
        disjoint=_find_disjoint(scored),
        masked=tuple(pair.name for pair, score in scored if score.masked),
        without_scale=tuple(pair.name for pair, score in scored if score.without_scale),
    )


def _find_disjoint(scored: Sequence[tuple[Pair, PairScore]]) -> tuple[str, ...]:
    """The names of disjoint pairs; raises ``InputError`` if all pairs with extents are."""
    disjoint = [(pair.name, one.extents) for pair, one in scored if one.extents and one.disjoint]
    if not disjoint or any(one.extents and not one.disjoint for _, one in scored):
        return tuple(name for name, _ in disjoint)
    name, extents = disjoint[0]
    which = f"the first of {len(disjoint)} pairs, {name}" if len(scored) > 1 else name
    raise InputError(f"{which}: {disjoint_message(*extents)}")


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
    similarity = metrics.apls(
        truth.data, pred.data, max_snap_m=rules.within_m, sample=rules.sample, allow_disjoint=True
    )
    part = RoadScores(
        metrics.match_centrelines(
            truth.data, pred.data, within_m=rules.within_m, allow_disjoint=True
        ),
        similarity,
        metrics.ImageMean.of(similarity.score),
        metrics.measure_connectivity(truth.data),
        metrics.measure_connectivity(pred.data),
    )
    return _make_pair_score(part, sides, within_m=rules.within_m)


def _road_figures(part: RoadScores) -> Figures:
    return {
        "apls": part.paths.score,
        "apls_error": part.paths.error,
        "apls_truth_to_pred": part.paths.truth_to_pred,
        "apls_pred_to_truth": part.paths.pred_to_truth,
        "apls_mean_of_images": part.paths_mean.mean,
        "images_left_out": part.paths_mean.left_out,
        "precision": part.centrelines.precision,
        "recall": part.centrelines.recall,
        "f1": part.centrelines.f1,
        "truth_m": part.centrelines.truth_m,
        "pred_m": part.centrelines.pred_m,
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
    truth_extent, pred_extent = (side.extent for side in sides)
    score = PairScore(
        part,
        masked=any(side.is_masked for side in sides),
        without_scale=not all(side.has_scale for side in sides),
    )
    if truth_extent is None or pred_extent is None:
        return score
    return replace(
        score,
        extents=(truth_extent, pred_extent),
        disjoint=truth_extent.is_disjoint(pred_extent, within_m),
    )


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
