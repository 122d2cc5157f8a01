import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.evaluation.metrics import (
    auroc,
    average_precision,
    confusion_at,
    weighted_auroc_and_average_precision,
)


@pytest.mark.parametrize("seed", range(20))
def test_ranking_figures_are_those_of_scikit_learn_with_ties_too(seed):
    rng = np.random.default_rng(seed)
    is_ng = np.append(rng.random(60) < rng.uniform(0.05, 0.6), [True, False])
    scores = np.round(rng.normal(is_ng, 1.0), seed % 3)
    assert auroc(scores, is_ng) == pytest.approx(roc_auc_score(is_ng, scores), abs=1e-12)
    assert average_precision(scores, is_ng) == pytest.approx(
        average_precision_score(is_ng, scores), abs=1e-12
    )


def test_a_weight_counts_an_image_as_often_as_it_says():
    rng = np.random.default_rng(5)
    is_ng = np.arange(40) % 4 == 0
    scores = np.round(rng.normal(is_ng, 1.0), 1)
    weights = rng.integers(0, 4, (6, 40))
    areas, precisions = weighted_auroc_and_average_precision(scores, is_ng, weights)
    for row, area, precision in zip(weights, areas, precisions, strict=True):
        repeated, labels = np.repeat(scores, row), np.repeat(is_ng, row)
        assert area == pytest.approx(roc_auc_score(labels, repeated), abs=1e-12)
        assert precision == pytest.approx(average_precision_score(labels, repeated), abs=1e-12)


def test_a_weighting_that_leaves_one_kind_gives_no_number():
    scores, is_ng = np.array([0.1, 0.9]), np.array([False, True])
    figures = weighted_auroc_and_average_precision(scores, is_ng, np.array([[1, 1], [2, 0], [0, 2]]))
    assert figures[:, 0].tolist() == [1.0, 1.0]
    assert np.isnan(figures[:, 1:]).all()


@pytest.mark.parametrize("label", [True, False])
def test_one_kind_alone_has_no_ranking(label):
    assert auroc(np.array([0.1, 0.2]), np.array([label] * 2)) is None
    assert average_precision(np.array([0.1, 0.2]), np.array([label] * 2)) is None


def test_equal_scores_rank_by_chance():
    is_ng = np.array([True, False, False, False])
    assert auroc(np.full(4, 0.5), is_ng) == 0.5
    assert average_precision(np.full(4, 0.5), is_ng) == 0.25


def test_a_score_at_the_threshold_is_ng():
    confusion = confusion_at(np.array([0.5, 0.5, 0.4, 0.6]), np.array([1, 0, 1, 0], bool), 0.5)
    assert (confusion.caught, confusion.escapes, confusion.overkill, confusion.passed) == (1, 1, 2, 0)
    assert (confusion.ok, confusion.ng, confusion.judged_ng) == (2, 2, 3)
    assert confusion.f1 == pytest.approx(2 / 5)


def test_f1_without_anything_to_find_or_found_is_no_number():
    assert confusion_at(np.array([0.1]), np.array([False]), 0.5).f1 is None


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([], []), ([0.1], [True, False]), ([np.inf, 0.1], [True, False])],
    ids=["none", "lengths", "infinite"],
)
def test_scores_that_cannot_be_measured_are_refused(scores, labels):
    with pytest.raises(ValueError):
        auroc(np.array(scores), np.array(labels, bool))
