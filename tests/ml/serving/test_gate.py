import numpy as np
import pytest

from ml.serving.gate import judge

EXPECTED = [0.1, 0.2, 0.3, 0.6, 0.8]
IS_NG = [False, False, False, True, True]


def held_against(given, **options):
    return judge(expected=EXPECTED, given=given, is_ng=IS_NG, **({"ng_at": 0.5} | options))


def test_the_same_scores_pass():
    gate = held_against(EXPECTED)
    assert (gate.passed, gate.reason, gate.flipped) == (True, "", ())


def test_other_scores_with_the_same_verdicts_and_order_pass():
    assert held_against([0.12, 0.19, 0.33, 0.57, 0.9]).passed


def test_one_verdict_that_flips_is_one_too_many():
    gate = held_against([0.1, 0.2, 0.5, 0.6, 0.8])
    assert (gate.passed, gate.flipped) == (False, (2,))
    assert gate.reason == "1 held-out images change their verdict"


def test_an_escape_counts_as_much_as_overkill():
    assert held_against([0.1, 0.2, 0.3, 0.49, 0.8]).flipped == (3,)


def test_a_score_at_the_threshold_is_ng_before_and_after():
    assert held_against([0.1, 0.2, 0.3, 0.5, 0.8]).passed


def test_between_ok_and_review_a_verdict_flips_too():
    assert held_against([0.1, 0.26, 0.3, 0.6, 0.8]).passed
    assert held_against([0.1, 0.26, 0.3, 0.6, 0.8], review_from=0.25).flipped == (1,)


def test_the_same_scores_may_pass_at_one_threshold_and_not_at_another():
    given = [0.1, 0.2, 0.35, 0.6, 0.8]
    assert held_against(given, ng_at=0.5).passed
    assert not held_against(given, ng_at=0.32).passed


def test_an_order_that_gets_worse_does_not_pass_even_where_no_verdict_flips():
    expected, is_ng = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])
    gate = judge(expected=expected, given=[0.1, 0.32, 0.3, 0.4], is_ng=is_ng, ng_at=0.9)
    assert gate.flipped == ()
    assert gate.auroc_fall == pytest.approx(1 / 4)
    assert gate.ap_fall == pytest.approx(1 - (1 + 2 / 3) / 2)
    assert not gate.passed
    assert gate.reason == "AUROC falls by 0.2500"


def test_an_order_that_gets_better_passes():
    gate = judge(expected=[0.3, 0.2], given=[0.2, 0.3], is_ng=[False, True], ng_at=0.9)
    assert gate.passed
    assert gate.auroc_fall == -1


def test_a_fall_of_a_thousandth_passes_and_a_little_more_does_not():
    rng = np.random.default_rng(0)
    ok, ng = np.sort(rng.uniform(0, 0.4, 100)), np.linspace(0.5, 0.9, 10)
    expected, is_ng = np.concatenate([ok, ng]), np.arange(110) >= 100
    for overtaken, passes in ((1, True), (2, False)):
        given = expected.copy()
        given[99] = ng[overtaken - 1] + 0.01
        gate = judge(expected=expected, given=given, is_ng=is_ng, ng_at=0.95)
        assert gate.auroc_fall == pytest.approx(overtaken / 1000)
        assert (gate.auroc_fall <= 0.001 + 1e-12) is passes


def test_without_ng_images_verdicts_alone_decide():
    gate = judge(expected=[0.1, 0.2], given=[0.2, 0.1], is_ng=[False, False], ng_at=0.5)
    assert (gate.passed, gate.auroc_fall, gate.ap_fall) == (True, 0, 0)


@pytest.mark.parametrize("given", [[0.1], [0.1, 0.2, 0.3, 0.6, np.nan], []])
def test_scores_that_do_not_belong_together_are_refused(given):
    with pytest.raises(ValueError):
        held_against(given)
