import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from ml.evaluation.intervals import bootstrap_ranking
from ml.evaluation.metrics import confusion_at
from ml.methods.discovery import purity
from ml.reproduction.pooling import FIGURES, SeedScores, pool
from ml.thresholds import best_f1


def made(seed: int, *, count: int = 60, kinds: int = 3, shift: float = 1.0) -> SeedScores:
    generator = np.random.default_rng(seed)
    types = np.arange(count) % kinds
    is_ng = types > 0
    probabilities = generator.dirichlet(np.ones(kinds), count) + shift * np.eye(kinds)[types] * 0.4
    return SeedScores(
        scores=np.round(generator.normal(is_ng * shift, 1.0), 1),
        is_ng=is_ng,
        groups=[f"part {number // 2}" for number in range(count)],
        threshold=0.5,
        types=types,
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        folds=np.arange(count) % 4 // 2,  # by part
        found={
            name: np.where(is_ng, generator.integers(0, kinds, count), -1)
            for name in ("descriptors", "pixels")
        },
    )


def own(one: SeedScores, name: str, weights: np.ndarray | None = None) -> float:
    weights = np.ones(len(one.scores), np.int64) if weights is None else weights
    return float(FIGURES[name].statistic(one, weights[None])[0])


def repeated(one: SeedScores, weights: np.ndarray) -> SeedScores:
    rows = np.repeat(np.arange(len(weights)), weights)
    return SeedScores(
        one.scores[rows], one.is_ng[rows], [one.groups[row] for row in rows], one.threshold,
        one.types[rows], one.probabilities[rows], one.folds[rows], {name: of[rows] for name, of in one.found.items()},
    )  # fmt: skip


def reference(one: SeedScores, name: str) -> float:
    named = one.probabilities.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        one.types, named, labels=np.unique(one.types), average="macro", zero_division=0
    )
    if name == "overkill_at_full_recall":
        return float((one.scores[~one.is_ng] >= one.scores[one.is_ng].min()).sum())
    if name == "false_calls_at_best_f1":
        best = max(np.unique(one.scores), key=lambda at: f1_score(one.is_ng, one.scores >= at))
        (_, overkill), (escapes, _) = confusion_matrix(one.is_ng, one.scores >= best)
        return float(overkill + escapes)
    if name.endswith("_by_fold"):
        parts = [
            reference(repeated(one, (one.folds == fold).astype(int)), name.removesuffix("_by_fold"))
            for fold in np.unique(one.folds)
        ]
        return np.sum(parts) if "overkill" in name else np.mean(parts)
    if name.startswith("purity_of_"):
        found = one.found["descriptors" if name == "purity_of_types" else "pixels"]
        return purity(found[one.is_ng], [str(kind) for kind in one.types[one.is_ng]])
    return {
        "auroc": lambda: roc_auc_score(one.is_ng, one.scores),
        "average_precision": lambda: average_precision_score(one.is_ng, one.scores),
        "accuracy": lambda: np.mean((one.scores >= one.threshold) == one.is_ng),
        "accuracy_of_types": lambda: np.mean(named == one.types),
        "precision_of_types": lambda: precision,
        "recall_of_types": lambda: recall,
        "f1_of_types": lambda: f1,
        "auroc_of_types": lambda: np.mean(
            [roc_auc_score(one.types == kind, one.probabilities[:, kind]) for kind in np.unique(one.types)]
        ),
    }[name]()


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("seed", [1, 2])
def test_each_figure_is_that_of_a_second_source(name, seed):
    one = made(seed)
    assert own(one, name) == pytest.approx(reference(one, name), abs=1e-12)


@pytest.mark.parametrize("name", FIGURES)
def test_a_weight_counts_as_so_many_copies_of_the_image(name):
    one = made(3)
    weights = np.random.default_rng(4).integers(0, 3, len(one.scores))
    assert own(one, name, weights) == pytest.approx(own(repeated(one, weights), name), abs=1e-12)


def test_false_calls_are_those_of_the_report():
    one = made(5)
    at = confusion_at(one.scores, one.is_ng, best_f1(one.scores, one.is_ng).value)
    assert own(one, "false_calls_at_best_f1") == at.escapes + at.overkill


def test_the_value_is_the_mean_of_the_seeds_and_lies_in_its_interval():
    seeds = [made(seed) for seed in (1, 2, 3)]
    pooled = pool(seeds, "auroc")
    assert pooled.seeds == tuple(own(one, "auroc") for one in seeds)
    assert pooled.value == pytest.approx(np.mean(pooled.seeds))
    assert pooled.low < pooled.value < pooled.high


def test_the_interval_of_one_seed_is_the_reports():
    one = made(6)
    pooled = pool([one], "average_precision", resamples=4000)
    _, expected = bootstrap_ranking(one.scores, one.is_ng, one.groups, seed=1, resamples=4000)
    assert (pooled.low, pooled.high) == pytest.approx(tuple(expected), abs=0.02)


def test_seeds_of_the_same_images_do_not_make_the_interval_narrow():
    """Another seed is no new part: three times the same scores are as sure as one."""
    one = made(7)
    alone, thrice = pool([one], "auroc"), pool([one, one, one], "auroc")
    assert (thrice.low, thrice.high) == pytest.approx((alone.low, alone.high))


def test_the_interval_is_of_the_mean_and_not_of_a_seed_drawn_by_chance():
    high, low = made(9, shift=3.0), made(10, shift=0.0)
    pooled = pool([high, low], "auroc")
    widths = [own_pool.high - own_pool.low for own_pool in (pool([high], "auroc"), pool([low], "auroc"))]
    assert pooled.high - pooled.low < max(widths)
    assert pooled.low > pool([low], "auroc").high - 0.05


def test_a_perfect_figure_has_a_lower_end_that_follows_from_the_number_of_groups():
    one = made(8, shift=50.0)
    pooled = pool([one], "auroc")
    assert (pooled.value, pooled.high) == (1.0, 1.0)
    assert 0.8 < pooled.low < 0.95


def test_without_ng_images_or_without_classes_there_is_no_figure():
    only_ok = SeedScores(np.arange(4.0), np.zeros(4, bool), list("abcd"), 0.5, np.zeros(4, np.int64))
    for name in (
        "auroc",
        "overkill_at_full_recall",
        "false_calls_at_best_f1",
        "f1_of_types",
        "purity_of_types",
    ):
        pooled = pool([only_ok], name)
        assert (pooled.value, pooled.low, pooled.seeds) == (None, None, (None,))
    assert pool([only_ok], "accuracy").value == 0.25
