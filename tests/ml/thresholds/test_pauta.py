import numpy as np
import pytest
from scipy import stats

from ml.thresholds import NoThreshold, choose_threshold, normality_of, pauta

NORMAL = np.random.default_rng(3).normal(0.3, 0.05, 200)
SKEWED = np.random.default_rng(3).lognormal(-2, 1, 200)


def of_ok(scores):
    return scores, np.zeros(len(scores), bool)


@pytest.mark.parametrize("gamma", [-1.0, 0.0, 2.5])
def test_the_threshold_is_the_mean_and_so_many_deviations(gamma):
    chosen = pauta(*of_ok(NORMAL), gamma=gamma)
    assert chosen.value == pytest.approx(NORMAL.mean() + gamma * NORMAL.std(ddof=1), rel=1e-5)
    assert chosen.overkill.count == np.count_nonzero(chosen.value <= NORMAL)


def test_the_papers_gamma_rejects_about_half_of_normal_ok_images():
    assert pauta(*of_ok(NORMAL)).overkill.count == pytest.approx(100, abs=15)


def test_ng_scores_do_not_move_it():
    with_ng = np.append(NORMAL, [5.0, 6.0]), np.append(np.zeros(200, bool), [True, True])
    assert pauta(*with_ng, gamma=3).value == pauta(*of_ok(NORMAL), gamma=3).value
    assert pauta(*with_ng, gamma=3).escapes.count == 0


@pytest.mark.parametrize("scores", [NORMAL, SKEWED, NORMAL[:3], NORMAL * 1e-200, NORMAL + 1e6])
def test_the_normality_test_is_scipys(scores):
    expected = stats.shapiro((scores - scores.min()) / np.ptp(scores)).pvalue
    assert normality_of(scores).p == pytest.approx(expected)


def test_the_means_upper_limit_is_that_of_students_interval():
    _low, high = stats.t.interval(0.95, 199, loc=NORMAL.mean(), scale=stats.sem(NORMAL))
    assert normality_of(NORMAL).mean_high == pytest.approx(high)


def test_scores_that_are_not_normal_are_said_to_be_so_and_the_quantile_is_named():
    chosen = pauta(*of_ok(SKEWED))
    assert chosen.normality.is_normal is False
    assert "are not normal" in chosen.advice
    assert "quantile" in chosen.advice


def test_normal_scores_bring_no_advice():
    chosen = pauta(*of_ok(NORMAL))
    assert chosen.normality.is_normal is True
    assert chosen.advice == ""


def test_equal_scores_are_not_normal_and_make_no_warning():
    chosen = pauta(*of_ok(np.full(20, 0.5)))
    assert (chosen.value, chosen.normality.p, chosen.normality.is_normal) == (0.5, None, False)
    assert "all equal" in chosen.advice


@pytest.mark.parametrize("count", [1, 2])
def test_of_one_or_two_scores_nothing_is_claimed(count):
    found = normality_of(NORMAL[:count])
    assert (found.p, found.is_normal) == (None, None)
    with pytest.raises(NoThreshold, match=f"needs 3 OK scores; there are {count}"):
        pauta(*of_ok(NORMAL[:count]))


def test_many_scores_are_tested_too_and_give_the_same_answer_each_time():
    many = np.random.default_rng(0).lognormal(0, 1, 20_000)
    assert normality_of(many) == normality_of(many)
    assert normality_of(many).is_normal is False


def test_the_papers_training_scores_are_taken_where_they_are_asked_for():
    training = NORMAL - 0.1
    chosen = choose_threshold("pauta", *of_ok(NORMAL), training_ok=training, scores_of="training", gamma=1)
    assert chosen.value == pytest.approx(training.mean() + training.std(ddof=1), rel=1e-5)
    assert chosen.overkill.of == 200
    assert "trained on" in chosen.reason


def test_without_training_scores_that_is_told():
    with pytest.raises(NoThreshold, match="held out of a fold"):
        choose_threshold("pauta", *of_ok(NORMAL), scores_of="training")
