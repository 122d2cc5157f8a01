"""One figure of several seeds, with its 95% interval: groups are drawn, the same ones for every seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ml.evaluation.intervals import Interval, wilson
from ml.evaluation.metrics import weighted_auroc_and_average_precision

RESAMPLES: Final = 1000
FOUND_FROM: Final = ("descriptors", "pixels")


@dataclass(frozen=True)
class SeedScores:
    """The held-out scores of one seed. N images.

    Attributes:
        scores: float64 [N].
        is_ng: bool [N].
        groups: [N], by name: the same group in another seed has the same name.
        threshold: that the method's rule chose.
        types: int64 [N], the class as labelled.
        probabilities: float64 [N, K], of methods with classes.
        folds: int64 [N], that held the image out; None where there was one part.
        found: int64 [N], types found among the NG images without their labels, by what they were found from
            (`FOUND_FROM`); −1 of OK images.
    """

    scores: np.ndarray
    is_ng: np.ndarray
    groups: Sequence[str]
    threshold: float
    types: np.ndarray
    probabilities: np.ndarray | None = None
    folds: np.ndarray | None = None
    found: Mapping[str, np.ndarray] = field(default_factory=dict)


# Of one seed, for R weightings int64 [R, N] of its images at once: float64 [R], NaN where it can't be told.
Statistic = Callable[[SeedScores, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Figure:
    """Attributes:
    title: for a person.
    statistic: what it is.
    is_count: of images, not a share of 1.
    """

    title: str
    statistic: Statistic
    is_count: bool = False


@dataclass(frozen=True)
class Pooled:
    """Attributes:
    value: the mean of the seeds; None where a seed's images don't allow the figure.
    low, high: 95%, by bootstrap over groups; of the images, not of the seeds.
    seeds: each one's own.
    """

    value: float | None
    low: float | None
    high: float | None
    seeds: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "low": self.low, "high": self.high, "seeds": list(self.seeds)}


def pool(seeds: Sequence[SeedScores], name: str, *, resamples: int = RESAMPLES) -> Pooled:
    """A figure of several seeds.

    Where every draw of groups gives a perfect 1, that says nothing of those not drawn: the lower end is then
    Wilson's for as many hits as the rarer kind has groups, as in every other report.

    Args:
        seeds: at least one.
        name: key of `FIGURES`.
        resamples: draws.

    Raises:
        KeyError: no such figure.
    """
    statistic = FIGURES[name].statistic
    own = [float(statistic(one, np.ones((1, len(one.scores)), np.int64))[0]) for one in seeds]
    values = tuple(None if np.isnan(value) else value for value in own)
    if None in values:
        return Pooled(None, None, None, values)
    mean = float(np.mean(own))
    interval = _interval(seeds, statistic, resamples)
    if interval is not None and mean == interval.low == interval.high == 1.0:
        rarer = min(_rarer_groups(one) for one in seeds)
        interval = wilson(rarer, rarer)
    low, high = interval or (None, None)
    return Pooled(mean, low, high, values)


def _interval(seeds: Sequence[SeedScores], statistic: Statistic, resamples: int) -> Interval | None:
    names = sorted({group for one in seeds for group in one.groups})
    number = {name: index for index, name in enumerate(names)}
    drawn = np.random.default_rng(0).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=resamples
    )
    figures = [
        statistic(one, drawn[:, np.array([number[group] for group in one.groups], np.int64)]) for one in seeds
    ]
    means = np.mean(figures, axis=0)
    usable = means[np.isfinite(means)]
    if len(usable) * 2 < resamples:
        return None
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(float(low), float(high))


def _rarer_groups(one: SeedScores) -> int:
    groups = np.asarray(one.groups, str)
    return min(len(np.unique(groups[one.is_ng])), len(np.unique(groups[~one.is_ng])))


def _auroc(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    return weighted_auroc_and_average_precision(one.scores, one.is_ng, weights)[0]


def _average_precision(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    return weighted_auroc_and_average_precision(one.scores, one.is_ng, weights)[1]


def _overkill_at_full_recall(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    """OK images at or above the lowest NG score among those drawn."""
    ng = np.where(one.is_ng & (weights > 0), one.scores, np.inf)
    lowest = ng.min(axis=1, keepdims=True)
    is_above = ~one.is_ng & (one.scores >= lowest)
    return np.where(np.isfinite(lowest[:, 0]), (weights * is_above).sum(axis=1), np.nan)


def _false_calls_at_best_f1(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(-one.scores, kind="stable")
    falling = one.scores[order]
    last = np.append(np.flatnonzero(falling[:-1] != falling[1:]), len(falling) - 1)  # of each run of ties
    caught = np.cumsum(weights[:, order] * one.is_ng[order], axis=1)[:, last]
    overkill = np.cumsum(weights[:, order] * ~one.is_ng[order], axis=1)[:, last]
    escapes = (weights * one.is_ng).sum(axis=1, keepdims=True) - caught
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.nan_to_num(2 * caught / (2 * caught + escapes + overkill))
    best = f1.argmax(axis=1)[:, None]
    calls = np.take_along_axis(escapes + overkill, best, axis=1)[:, 0].astype(np.float64)
    return np.where((weights * one.is_ng).any(axis=1), calls, np.nan)


def _by_fold(statistic: Statistic, together: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    """Each fold ranked for itself, as papers do: [F, R] figures, of which `together` makes [R]."""

    def of_folds(one: SeedScores, weights: np.ndarray) -> np.ndarray:
        if one.folds is None:
            return statistic(one, weights)
        figures = [statistic(one, weights * (one.folds == fold)) for fold in np.unique(one.folds)]
        return together(np.stack(figures))

    return of_folds


def _accuracy(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    """Of OK against NG, at the threshold that the method's rule chose."""
    is_right = (one.scores >= one.threshold) == one.is_ng
    return weights @ is_right / weights.sum(axis=1)


def _accuracy_of_types(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    if one.probabilities is None:
        return np.full(len(weights), np.nan)
    return weights @ (one.probabilities.argmax(axis=1) == one.types) / weights.sum(axis=1)


def _macro(of_type: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Statistic:
    """The mean over the types that are there, of something made of right, labelled and named counts [R]."""

    def statistic(one: SeedScores, weights: np.ndarray) -> np.ndarray:
        if one.probabilities is None:
            return np.full(len(weights), np.nan)
        named = one.probabilities.argmax(axis=1)
        figures = []
        for number in np.unique(one.types):
            is_labelled, is_named = one.types == number, named == number
            counts = [weights @ mask for mask in (is_labelled & is_named, is_labelled, is_named)]
            with np.errstate(divide="ignore", invalid="ignore"):
                figure = np.nan_to_num(of_type(*counts))
            figures.append(np.where(counts[1] > 0, figure, np.nan))
        return _mean_of_known(figures)

    return statistic


def _auroc_of_types(one: SeedScores, weights: np.ndarray) -> np.ndarray:
    """The mean over the types of each one's AUROC against the rest."""
    if one.probabilities is None:
        return np.full(len(weights), np.nan)
    areas = [
        weighted_auroc_and_average_precision(one.probabilities[:, number], one.types == number, weights)[0]
        for number in np.unique(one.types)
    ]
    return _mean_of_known(areas)


def _purity(found_from: str) -> Statistic:
    """The share of NG images whose class is the most frequent one of the type that they were found in."""

    def statistic(one: SeedScores, weights: np.ndarray) -> np.ndarray:
        found = one.found.get(found_from)
        if found is None:
            return np.full(len(weights), np.nan)
        classes = np.unique(one.types[one.is_ng])
        most = [
            np.max([weights @ ((found == number) & (one.types == name)) for name in classes], axis=0)
            for number in np.unique(found[found >= 0])
        ]
        return np.asarray(np.sum(most, axis=0) / (weights @ one.is_ng))

    return statistic


def _mean_of_known(figures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    stacked = np.asarray(figures)
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0))


FIGURES: Final[Mapping[str, Figure]] = {
    "auroc": Figure("AUROC", _auroc),
    "average_precision": Figure("AP", _average_precision),
    "average_precision_by_fold": Figure(
        "AP, mean of the folds", _by_fold(_average_precision, _mean_of_known)
    ),
    "overkill_at_full_recall": Figure("overkill at full recall", _overkill_at_full_recall, is_count=True),
    "overkill_at_full_recall_by_fold": Figure(
        "overkill at full recall, sum of the folds",
        _by_fold(_overkill_at_full_recall, lambda figures: np.nansum(figures, axis=0)),
        is_count=True,
    ),
    "false_calls_at_best_f1": Figure("false calls at best F1", _false_calls_at_best_f1, is_count=True),
    "accuracy": Figure("accuracy OK/NG", _accuracy),
    "accuracy_of_types": Figure("accuracy of types", _accuracy_of_types),
    "precision_of_types": Figure("precision of types", _macro(lambda right, _labelled, named: right / named)),
    "recall_of_types": Figure("recall of types", _macro(lambda right, labelled, _named: right / labelled)),
    "f1_of_types": Figure(
        "F1 of types", _macro(lambda right, labelled, named: 2 * right / (labelled + named))
    ),
    "auroc_of_types": Figure("AUROC of types", _auroc_of_types),
    "purity_of_types": Figure("purity of types found", _purity("descriptors")),
    "purity_of_pixels": Figure("purity of raw pixels' types", _purity("pixels")),
}
