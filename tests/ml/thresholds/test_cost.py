import numpy as np
import pytest
from pydantic import ValidationError

from ml.thresholds import choose_threshold, least_cost


def cost_by_hand(scores, is_ng, threshold, escape, overkill, rate):
    missed = np.mean(scores[is_ng] < threshold)
    rejected = np.mean(scores[~is_ng] >= threshold)
    return rate * missed * escape + (1 - rate) * rejected * overkill


@pytest.mark.parametrize("prices", [(100, 1, 0.01), (1, 1, 0.5), (5, 20, 0.1), (0, 1, 0.2), (7, 0, 0.2)])
@pytest.mark.parametrize("seed", range(8))
def test_no_threshold_at_all_costs_less(seed, prices):
    rng = np.random.default_rng(seed)
    is_ng = np.append(rng.random(60) < 0.3, [True, False])
    scores = np.round(rng.normal(is_ng, 0.8), 1)  # with ties
    escape, overkill, rate = prices
    chosen = least_cost(scores, is_ng, escape_price=escape, overkill_price=overkill, ng_rate=rate)
    everywhere = [*np.unique(scores), scores.min() - 1, scores.max() + 1]
    least = min(cost_by_hand(scores, is_ng, value, *prices) for value in everywhere)
    assert cost_by_hand(scores, is_ng, chosen.value, *prices) == pytest.approx(least)
    assert chosen.cost_per_part == pytest.approx(least)


def test_of_equal_costs_the_one_with_fewer_escapes_is_taken():
    scores, is_ng = np.array([0.1, 0.2, 0.3, 0.9]), np.array([False, True, False, True])
    # Catching the NG image at 0.2 costs the OK image at 0.3: 0.5 · 1/2 · 1 either way.
    chosen = least_cost(scores, is_ng, escape_price=1, overkill_price=1, ng_rate=0.5)
    assert chosen.escapes.count == 0


def test_a_dearer_escape_never_raises_the_threshold():
    rng = np.random.default_rng(5)
    is_ng = np.arange(200) % 5 == 0
    scores = rng.normal(is_ng, 0.7)
    values = [least_cost(scores, is_ng, escape_price=price).value for price in (1, 10, 100, 1000)]
    assert values == sorted(values, reverse=True)


def test_where_passing_everything_is_cheapest_that_is_said_and_nothing_is_rejected():
    scores, is_ng = np.array([0.1, 0.5, 0.4, 0.6]), np.array([False, False, True, False])
    chosen = least_cost(scores, is_ng, escape_price=0.01, overkill_price=10, ng_rate=0.01)
    assert (chosen.escapes.count, chosen.overkill.count) == (1, 0)
    assert chosen.value > 0.6
    assert "pass every part" in chosen.advice


def test_equal_scores_of_both_kinds_still_have_a_threshold():
    chosen = least_cost(np.zeros(4), np.array([True, False, False, False]), escape_price=0)
    assert chosen.overkill.count == 0
    assert chosen.value > 0


@pytest.mark.parametrize(
    "wrong",
    [{"ng_rate": 0}, {"ng_rate": 1}, {"escape_price": -1}, {"overkill_price": float("inf")}, {"colour": 1}],
)
def test_prices_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        choose_threshold("cost", np.array([0.1, 0.9]), np.array([False, True]), **wrong)
