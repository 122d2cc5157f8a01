import json

import numpy as np
import pytest

from ml.evaluation.classes import ClassProbabilities
from ml.evaluation.report import evaluate_scores, report

SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.9])
IS_NG = np.array([0, 0, 0, 0, 1, 1, 1], bool)
GROUPS = [str(index) for index in range(7)]
RATES = {"accuracy", "precision", "recall", "escapes", "overkill", "overkill_at_full_recall"}


def test_figures_worked_out_by_hand():
    found = evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0, threshold=0.65)
    metrics = found["metrics"]
    assert found["n"] == {"ok": 4, "ng": 3}
    assert metrics["auroc"]["value"] == pytest.approx(11 / 12)
    assert metrics["average_precision"]["value"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert (metrics["overkill_at_full_recall"]["count"], metrics["overkill_at_full_recall"]["of"]) == (1, 4)
    assert (metrics["false_calls_at_best_f1"]["count"], metrics["false_calls_at_best_f1"]["of"]) == (1, 7)
    assert metrics["best_f1"]["value"] == pytest.approx(6 / 7)
    assert (metrics["accuracy"]["count"], metrics["accuracy"]["of"]) == (6, 7)
    assert (metrics["precision"]["count"], metrics["precision"]["of"]) == (2, 2)
    assert (metrics["recall"]["count"], metrics["recall"]["of"]) == (2, 3)
    assert (metrics["escapes"]["count"], metrics["overkill"]["count"]) == (1, 0)
    assert metrics["f1"]["value"] == pytest.approx(0.8)
    assert found["threshold"] == {"value": 0.65, "reason": "Given."}


def test_every_rate_has_its_interval_and_the_report_is_plain_json():
    found = evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0)
    for name in RATES:
        rate = found["metrics"][name]
        assert rate["low"] <= rate["value"] <= rate["high"]
        assert rate["value"] == pytest.approx(rate["count"] / rate["of"])
    assert "F1" in found["threshold"]["reason"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("labels", [np.zeros(7, bool), np.ones(7, bool)], ids=["no NG", "no OK"])
def test_what_one_kind_does_not_tell_is_null_and_still_valid_json(labels):
    found = evaluate_scores(SCORES, labels, groups=GROUPS, seed=0)
    assert found["metrics"]["auroc"]["value"] is None
    assert found["metrics"]["overkill_at_full_recall"]["count"] is None
    assert "measure against" in found["threshold"]["reason"]
    json.dumps(found, allow_nan=False)


def test_a_single_image_is_measured_too():
    json.dumps(evaluate_scores(np.array([0.5]), np.array([False]), groups=["a"], seed=0), allow_nan=False)


def test_the_statistics_of_scores_are_numpys():
    ok = evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0)["scores"]["ok"]
    assert ok["count"] == 4
    assert ok["mean"] == pytest.approx(np.mean(SCORES[:4]))
    assert (ok["min"], ok["median"], ok["max"]) == pytest.approx((0.1, 0.25, 0.6))


def test_a_report_has_the_keys_that_commands_and_pages_read_in_their_order():
    written = report(
        method="weak",
        dataset="bolts",
        model_version=4,
        split={"by": "group", "folds": 3, "seed": 1},
        evaluation=evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0),
        images=[{"file": "a.png", "label": "OK", "class": "OK", "score": 0.1, "fold": 0}],
        seconds=1.5,
        peak_mb=300.0,
    )
    head = ["method", "dataset", "model_version", "split", "n", "metrics", "threshold"]
    details = ["scores", "normality", "classes", "curves"]
    assert list(written) == [*head, *details, "images", "seconds", "peak_mb"]


def test_per_class_figures_are_at_the_threshold_that_was_measured_at():
    types = ["OK"] * 4 + ["crack", "hole", "hole"]
    found = evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0, threshold=0.65, class_names=types)
    detection = found["classes"]["detection"]
    assert {name: (one["recall"]["count"], one["n"]) for name, one in detection.items()} == {
        "OK": (4, 4), "crack": (0, 1), "hole": (2, 2),
    }  # fmt: skip
    assert found["classes"]["classification"] is None


def test_without_types_ng_is_the_only_one():
    assert list(evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0)["classes"]["detection"]) == ["OK", "NG"]


def test_class_probabilities_bring_the_classification():
    types = ["OK"] * 4 + ["crack", "hole", "hole"]
    sure = np.eye(3)[[0, 0, 0, 0, 1, 2, 1]]
    found = evaluate_scores(
        SCORES, IS_NG, groups=GROUPS, seed=0, class_names=types,
        probabilities=ClassProbabilities(("OK", "crack", "hole"), sure),
    )  # fmt: skip
    assert found["classes"]["classification"]["accuracy"]["count"] == 6
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_normality_of_the_ok_scores_is_told():
    found = evaluate_scores(SCORES, IS_NG, groups=GROUPS, seed=0)["normality"]
    assert (found["count"], found["mean"]) == (4, pytest.approx(0.3))
    assert "Shapiro" in found["sentence"]
