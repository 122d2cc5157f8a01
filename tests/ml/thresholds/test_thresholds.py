import numpy as np
import pytest

from ml.evaluation.metrics import confusion_at
from ml.thresholds import RULES, NoThreshold, best_f1, choose_threshold, full_recall, quantile

SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.9])
IS_NG = np.array([0, 0, 0, 0, 1, 1, 1], bool)


def f1_by_hand(scores, is_ng, threshold):
    caught = np.sum((scores >= threshold) & is_ng)
    return 2 * caught / (np.sum(scores >= threshold) + is_ng.sum())


def test_best_f1_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(1)
    for _ in range(50):
        is_ng = np.append(rng.random(30) < 0.3, [True, False])
        scores = np.round(rng.normal(is_ng, 0.7), 1)  # with ties
        chosen = best_f1(scores, is_ng)
        best = max(f1_by_hand(scores, is_ng, value) for value in scores)
        assert f1_by_hand(scores, is_ng, chosen.value) == pytest.approx(best)


def test_of_equal_f1_the_one_with_fewer_escapes_is_taken():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    is_ng = np.array([0, 1, 0, 0, 0, 1], bool)
    assert f1_by_hand(scores, is_ng, 0.9) == pytest.approx(2 / 3)
    tied = np.array([0.1, 0.2, 0.3, 0.3, 0.9]), np.array([0, 1, 0, 0, 1], bool)
    assert f1_by_hand(*tied, 0.2) == pytest.approx(2 / 3)
    assert best_f1(*tied).escapes.count == 0


def test_full_recall_lets_no_ng_pass_and_any_higher_threshold_would():
    chosen = full_recall(SCORES, IS_NG)
    assert 0.3 < chosen.value <= 0.4
    assert (chosen.escapes.count, chosen.escapes.of) == (0, 3)
    assert (chosen.overkill.count, chosen.overkill.of) == (1, 4)
    assert confusion_at(SCORES, IS_NG, np.nextafter(0.4, 1)).escapes == 1


def test_a_threshold_is_a_short_number_between_two_scores():
    assert full_recall(SCORES, IS_NG).value == 0.4 or full_recall(SCORES, IS_NG).value == 0.35
    value = full_recall(np.array([0.123456, 0.87654321]), np.array([False, True])).value
    assert value == 0.5


def test_scores_that_nearly_touch_are_still_told_apart():
    below, above = 0.7, np.nextafter(0.7, 1)
    chosen = full_recall(np.array([below, above]), np.array([False, True]))
    assert (chosen.escapes.count, chosen.overkill.count) == (0, 0)


def test_an_ng_score_below_all_others_is_its_own_threshold():
    chosen = full_recall(np.array([0.2, 0.5]), np.array([True, False]))
    assert chosen.value == 0.2
    assert chosen.overkill.count == 1


def test_the_quantile_leaves_its_share_of_ok_images_below():
    ok = np.linspace(0, 1, 200)
    scores, is_ng = np.append(ok, 2.0), np.append(np.zeros(200, bool), True)
    chosen = quantile(scores, is_ng, share=0.95)
    assert np.count_nonzero(ok < chosen.value) == 190
    assert chosen.overkill.count == 10
    assert quantile(ok, np.zeros(200, bool), share=0.95).value == chosen.value


def test_a_quantile_that_the_images_cannot_resolve_is_refused_with_both_numbers():
    with pytest.raises(NoThreshold, match="needs 100 of them; there are 20"):
        quantile(np.arange(20.0), np.zeros(20, bool), share=0.99)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError):
        quantile(SCORES, IS_NG, share=share)


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.needs_ng])
@pytest.mark.parametrize("labels", [np.zeros(7, bool), np.ones(7, bool)], ids=["no NG", "no OK"])
def test_rules_that_need_both_kinds_say_so(rule, labels):
    with pytest.raises(NoThreshold, match="Both OK and NG"):
        choose_threshold(rule, SCORES, labels)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_tells_its_reason_and_rates_with_intervals(rule):
    rng = np.random.default_rng(2)
    is_ng = np.arange(300) % 3 == 0
    chosen = choose_threshold(rule, rng.normal(is_ng, 1), is_ng)
    assert chosen.rule == rule
    assert chosen.reason.endswith(".")
    for rate, of in ((chosen.escapes, 100), (chosen.overkill, 200)):
        assert rate.of == of
        assert 0 <= rate.low <= rate.count / of <= rate.high <= 1


def test_a_score_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        best_f1(np.array([0.1, np.nan]), np.array([False, True]))
