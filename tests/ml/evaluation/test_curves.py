import numpy as np
import pytest
from sklearn import metrics as reference

from ml.evaluation.curves import MOST_POINTS, curves


def drawn(seed, count=120, digits=1):
    rng = np.random.default_rng(seed)
    is_ng = np.append(rng.random(count) < 0.3, [True, False])
    return np.round(rng.normal(is_ng, 1), digits), is_ng


@pytest.mark.parametrize("seed", range(6))
def test_the_roc_is_scikit_learns_without_the_points_on_straight_lines(seed):
    scores, is_ng = drawn(seed)
    overkill, recall, thresholds = reference.roc_curve(is_ng, scores, drop_intermediate=False)
    roc = curves(scores, is_ng)["roc"]
    assert roc["threshold"][0] is None
    for at, x, y in list(zip(roc["threshold"], roc["overkill"], roc["recall"], strict=True))[1:]:
        same = int(np.flatnonzero(np.isclose(thresholds, at))[0])
        assert (x, y) == pytest.approx((overkill[same], recall[same]), abs=1e-5)
    assert len(roc["recall"]) < len(recall)
    area = np.trapezoid(roc["recall"], roc["overkill"])
    assert area == pytest.approx(reference.auc(overkill, recall), abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_precision_over_recall_is_scikit_learns(seed):
    scores, is_ng = drawn(seed)
    precision, recall, thresholds = reference.precision_recall_curve(is_ng, scores)
    ours = curves(scores, is_ng)["precision_recall"]
    assert ours["precision"] == pytest.approx(precision[-2::-1], abs=1e-5)
    assert ours["recall"] == pytest.approx(recall[-2::-1], abs=1e-5)
    assert ours["threshold"] == pytest.approx(thresholds[::-1])


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_area():
    scores, is_ng = drawn(1, count=20_000, digits=9)
    found = curves(scores, is_ng)
    roc = found["roc"]
    assert len(roc["recall"]) <= MOST_POINTS
    assert len(found["precision_recall"]["recall"]) <= MOST_POINTS
    assert (roc["recall"][0], roc["recall"][-1], roc["overkill"][-1]) == (0, 1, 1)
    area = np.trapezoid(roc["recall"], roc["overkill"])
    assert area == pytest.approx(reference.roc_auc_score(is_ng, scores), abs=1e-3)


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_one_kind_alone_has_no_curve(labels):
    assert curves(np.array([0.1, 0.2]), np.array(labels)) is None


def test_scores_that_are_all_equal_are_the_diagonal():
    roc = curves(np.zeros(4), np.array([True, False, False, True]))["roc"]
    assert (roc["overkill"], roc["recall"]) == ([0, 1], [0, 1])


def test_perfect_scores_are_the_corner():
    roc = curves(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))["roc"]
    assert list(zip(roc["overkill"], roc["recall"], strict=True)) == [(0, 0), (0, 1), (1, 1)]
