import json
from collections import defaultdict

import numpy as np
import pytest
from scipy import stats

from ml.evaluation.learning_curve import LearningFit, learning_curve, learning_fits
from ml.evaluation.splits import SplitImpossible


def parts(count=40, views=4, ng_share=0.15, seed=0):
    groups = np.repeat([f"part{index}" for index in range(count)], views)
    return np.random.default_rng(seed).random(len(groups)) < ng_share, groups.tolist()


@pytest.fixture
def fits():
    is_ng, groups = parts()
    return learning_fits(is_ng, groups, [5, 10, None], folds=3, seeds=[0, 1])


def test_there_is_a_fit_for_each_seed_fold_and_count(fits):
    assert [(fit.seed, fit.fold, fit.wanted) for fit in fits] == [
        (seed, fold, count) for seed in (0, 1) for fold in range(3) for count in (5, 10, None)
    ]


def test_each_has_as_many_ng_images_as_it_says_and_all_ok_ones(fits):
    is_ng, _groups = parts()
    for fit in fits:
        assert np.count_nonzero(is_ng[fit.training]) == fit.ng
        all_ok = set(np.flatnonzero(~is_ng)) - set(fit.held_out)
        assert set(fit.training[~is_ng[fit.training]]) == all_ok
        if fit.wanted is not None:
            assert fit.ng == fit.wanted


def test_a_smaller_set_is_part_of_the_larger_ones(fits):
    chains = defaultdict(list)
    for fit in fits:
        chains[fit.seed, fit.fold].append(set(fit.training))
    for small, middle, everything in chains.values():
        assert small < middle < everything


def test_no_group_is_on_both_sides_and_every_image_is_held_out_once_a_seed(fits):
    _is_ng, groups = parts()
    keys = np.array(groups)
    for fit in fits:
        assert not set(keys[fit.training]) & set(keys[fit.held_out])
    for seed in (0, 1):
        held = [fit.held_out for fit in fits if fit.seed == seed and fit.wanted == 5]
        assert sorted(np.concatenate(held)) == list(range(len(groups)))


def test_ng_images_of_one_group_come_one_after_the_other():
    is_ng = np.ones(60, bool)
    is_ng[::10] = False
    groups = [str(index // 6) for index in range(60)]
    for fit in learning_fits(is_ng, groups, list(range(1, 30)), folds=2, seeds=[3]):
        ng = [groups[image] for image in fit.training if is_ng[image]]
        sizes = {group: sum(is_ng[np.array(groups) == group]) for group in set(ng)}
        in_part = [group for group in sizes if ng.count(group) < sizes[group]]
        assert len(in_part) <= 1


def test_another_seed_begins_with_other_ng_images():
    is_ng, groups = parts()
    first = learning_fits(is_ng, groups, [5], folds=3, seeds=[0, 1])
    assert set(first[0].training[is_ng[first[0].training]]) != set(
        first[3].training[is_ng[first[3].training]]
    )


def test_a_count_that_is_not_there_is_left_out_but_all_is_there():
    is_ng, groups = parts()
    fits = learning_fits(is_ng, groups, [5, 10_000, None], folds=3, seeds=[0])
    assert [fit.wanted for fit in fits if fit.fold == 0] == [5, None]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(SplitImpossible):
        learning_fits(np.array([True, False]), ["a", "a"], [1], folds=2, seeds=[0])
    with pytest.raises(ValueError, match="at least one NG"):
        learning_fits(*parts(), [0, 5], folds=3, seeds=[0])


def fit_of(wanted, ng):
    return LearningFit(0, 0, wanted, ng, np.empty(0, np.int64), np.empty(0, np.int64))


def test_the_interval_over_folds_and_seeds_is_students():
    values = [0.8, 0.85, 0.9, 0.7]
    curve = learning_curve((fit_of(5, 5), {"auroc": value}) for value in values)
    (point,) = curve["points"]
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (point["auroc"]["low"], point["auroc"]["high"]) == pytest.approx(expected)
    assert (point["auroc"]["mean"], point["auroc"]["least"], point["auroc"]["most"]) == (
        pytest.approx(0.8125), 0.7, 0.9,
    )  # fmt: skip
    assert (point["ng"], point["fits"]) == (5, 4)


def test_points_rise_with_all_last_at_its_mean_count():
    results = [(fit_of(None, 33), {"ap": 0.9}), (fit_of(None, 36), {"ap": 0.8}), (fit_of(5, 5), {"ap": 0.5})]
    curve = learning_curve(results)
    assert [(point["ng"], point["is_all"]) for point in curve["points"]] == [(5, False), (34.5, True)]
    assert json.loads(json.dumps(curve, allow_nan=False)) == curve


def test_a_figure_that_a_fold_cannot_tell_is_left_out_and_one_value_proves_nothing():
    curve = learning_curve([(fit_of(5, 5), {"ap": None, "auroc": 0.9}), (fit_of(5, 5), {"ap": None})])
    point = curve["points"][0]
    assert point["ap"] is None
    assert (point["auroc"]["low"], point["auroc"]["high"]) == (0, 1)


def test_no_fits_are_an_empty_curve():
    assert learning_curve([]) == {"figures": [], "points": []}
