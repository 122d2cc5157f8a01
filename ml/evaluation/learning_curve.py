"""How figures grow with the number of NG images: nested training sets to fit, and what came of the fits."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.evaluation.splits import grouped_folds


@dataclass(frozen=True)
class LearningFit:
    """One fit of a learning curve.

    Attributes:
        seed: of the folds and of the order in which NG images come; the fit's own may be the same.
        fold: that is held out, counted from 0.
        wanted: NG images asked for; None for all there are.
        ng: NG images in `training`.
        training: int64 [T], numbers of the images to fit on, rising.
        held_out: int64 [H], numbers of the images to measure on, rising; the same for all `wanted`.
    """

    seed: int
    fold: int
    wanted: int | None
    ng: int
    training: np.ndarray
    held_out: np.ndarray


def learning_fits(
    is_ng: np.ndarray,
    groups: Sequence[Hashable],
    counts: Sequence[int | None],
    *,
    folds: int,
    seeds: Sequence[int],
) -> list[LearningFit]:
    """The fits of a learning curve: for each seed, fold and count one.

    All OK images of the training folds are in each; of their NG images the first so many, in an order of
    whole groups. So a smaller set is part of every larger one of its seed and fold, and near-identical NG
    images come one after the other, as one more defect and not as several.

    Args:
        is_ng: bool [N].
        groups: one key an image, [N]; images of one group are on one side of every fold.
        counts: of NG images, each at least 1; None for all. Those that a fold's training part does not reach
            are left out for it.
        folds: K, at least 2.
        seeds: at least one.

    Returns:
        By seed, fold, then count.

    Raises:
        SplitImpossible: fewer groups than folds.
        ValueError: a count below 1.
    """
    if any(count is not None and count < 1 for count in counts):
        raise ValueError(f"a fit needs at least one NG image: {list(counts)}")
    labels = np.asarray(is_ng, bool)
    wanted = sorted({count for count in counts if count is not None})
    fits = []
    for seed in seeds:
        fold_of = grouped_folds(labels, groups, folds, seed)
        for fold in range(folds):
            held_out = np.flatnonzero(fold_of == fold)
            ok = np.flatnonzero((fold_of != fold) & ~labels)
            ng = _in_group_order(np.flatnonzero((fold_of != fold) & labels), groups, (seed, fold))
            steps: list[int | None] = [count for count in wanted if count <= len(ng)]
            if None in counts and len(ng):
                steps.append(None)
            fits += [
                LearningFit(
                    seed=seed,
                    fold=fold,
                    wanted=count,
                    ng=len(ng[:count]),
                    training=np.sort(np.concatenate([ok, ng[:count]])),
                    held_out=held_out,
                )
                for count in steps
            ]
    return fits


def learning_curve(results: Iterable[tuple[LearningFit, Mapping[str, float | None]]]) -> dict[str, Any]:
    """The curve as it stands in a report.

    Args:
        results: each fit with the figures that its model has on `held_out`; None where one can't be told.

    Returns:
        "figures": their names; "points", by rising NG count: "ng" (the mean, where all were asked for),
        "is_all", "fits", and by figure "mean", "low", "high", "least" and "most". Low to high is Student's
        95% interval of the mean over folds and seeds, within 0 to 1. Fits share images, so it is the spread
        that another seed would show rather than that of another factory's parts.
    """
    by_count: dict[int | None, list[tuple[LearningFit, Mapping[str, float | None]]]] = defaultdict(list)
    for fit, figures in results:
        by_count[fit.wanted].append((fit, figures))
    names = sorted({name for fits in by_count.values() for _fit, figures in fits for name in figures})
    points = []
    for wanted in sorted(by_count, key=lambda count: (count is None, count or 0)):
        fits = by_count[wanted]
        point: dict[str, Any] = {
            "ng": float(np.mean([fit.ng for fit, _figures in fits])),
            "is_all": wanted is None,
            "fits": len(fits),
        }
        for name in names:
            point[name] = _summary([figures.get(name) for _fit, figures in fits])
        points.append(point)
    return {"figures": names, "points": points}


def _in_group_order(images: np.ndarray, groups: Sequence[Hashable], seed: tuple[int, int]) -> np.ndarray:
    """Whole groups in a random order; within one, as they stand."""
    first: dict[Hashable, int] = {}
    group_of = np.array([first.setdefault(groups[image], len(first)) for image in images], np.int64)
    place = np.random.default_rng(seed).permutation(len(first))
    return images[np.argsort(place[group_of], kind="stable")] if len(images) else images


def _summary(values: Sequence[float | None]) -> dict[str, float] | None:
    known = np.array([value for value in values if value is not None], np.float64)
    if not len(known):
        return None
    mean = float(known.mean())
    half = _half_width(known)
    return {
        "mean": mean,
        "low": max(0.0, mean - half),
        "high": min(1.0, mean + half),
        "least": float(known.min()),
        "most": float(known.max()),
    }


def _half_width(values: np.ndarray) -> float:
    """Of Student's interval; of a single value everything is possible."""
    if len(values) < 2:
        return 1.0
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / np.sqrt(len(values)))
