import time

import numpy as np
import pytest
from scipy.stats import binomtest

from ml.evaluation.intervals import bootstrap_ranking, wilson


@pytest.mark.parametrize(("count", "of"), [(0, 1), (1, 1), (0, 52), (52, 52), (3, 347), (5, 10), (999, 1000)])
def test_wilson_is_that_of_scipy(count, of):
    expected = binomtest(count, of).proportion_ci(method="wilson")
    assert wilson(count, of) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_without_trials_everything_is_possible():
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("count", "of"), [(-1, 3), (4, 3)])
def test_what_is_no_rate_is_refused(count, of):
    with pytest.raises(ValueError):
        wilson(count, of)


def scores_of(seed, n=120, group=1):
    rng = np.random.default_rng(seed)
    is_ng = np.arange(n) % 6 == 0
    return rng.normal(is_ng * 1.0, 1.0), is_ng, [f"g{i // group}" for i in range(n)]


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    scores, is_ng, groups = scores_of(0)
    first = bootstrap_ranking(scores, is_ng, groups, seed=1)
    assert first == bootstrap_ranking(scores, is_ng, groups, seed=1)
    assert first != bootstrap_ranking(scores, is_ng, groups, seed=2)


def test_intervals_hold_the_value_in_about_95_of_100_cases():
    true_area = 0.7602499389065233  # of two unit normals one apart: Φ(1/√2)
    held = 0
    for seed in range(200):
        scores, is_ng, groups = scores_of(seed)
        low, high = bootstrap_ranking(scores, is_ng, groups, seed=seed, resamples=300)[0]
        held += low <= true_area <= high
    assert 178 <= held <= 200


def test_images_that_repeat_each_other_do_not_narrow_the_interval():
    scores, is_ng, groups = scores_of(3)
    alone = bootstrap_ranking(scores, is_ng, groups, seed=0)[0]
    repeated = [np.repeat(part, 5) for part in (scores, is_ng, np.array(groups))]
    grouped = bootstrap_ranking(*repeated, seed=0)[0]
    split = bootstrap_ranking(repeated[0], repeated[1], [str(i) for i in range(600)], seed=0)[0]
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.25)
    assert split.high - split.low < 0.7 * (alone.high - alone.low)


def test_too_few_groups_of_a_kind_give_no_interval():
    scores, is_ng = np.arange(40.0), np.arange(40) == 0
    assert bootstrap_ranking(scores, is_ng, ["all"] * 39 + ["one"], seed=0)[0] is not None
    only_two = bootstrap_ranking(np.array([0.0, 1.0]), np.array([False, True]), ["a", "b"], seed=0)
    assert only_two[0] is None or only_two[0].low == wilson(1, 1).low


def test_ten_thousand_images_take_seconds_not_minutes():
    scores, is_ng, groups = scores_of(1, n=10_000, group=4)
    start = time.process_time()
    low, high = bootstrap_ranking(scores, is_ng, groups, seed=0, resamples=200)[0]
    assert low < 0.76 < high
    assert time.process_time() - start < 10


def test_perfect_separation_of_few_groups_is_not_called_certain():
    scores, is_ng = np.array([0.1] * 24 + [0.9] * 14), np.array([False] * 24 + [True] * 14)
    auroc, precision = bootstrap_ranking(scores, is_ng, [f"g{i}" for i in range(38)], seed=0)
    assert auroc == precision == wilson(14, 14)
    assert 0.75 < auroc.low < 0.85
    assert auroc.high == 1


def test_perfect_separation_counts_parts_not_images():
    scores, is_ng = np.array([0.1] * 20 + [0.9] * 20), np.array([False] * 20 + [True] * 20)
    auroc, _ = bootstrap_ranking(scores, is_ng, [f"g{i // 4}" for i in range(40)], seed=0)
    assert auroc == wilson(5, 5)
