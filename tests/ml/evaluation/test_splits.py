from collections import Counter

import numpy as np
import pytest

from ml.evaluation.splits import SplitImpossible, grouped_folds, grouped_hold_out, joined_groups


def parts(rng, count=50, views=8, ng_share=0.13):
    """Labels and groups like KolektorSDD's: parts of several views, few views NG."""
    groups = np.repeat([f"part{i}" for i in range(count)], views)
    return rng.random(len(groups)) < ng_share, list(groups)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("folds", [2, 3, 10])
def test_no_group_is_on_two_sides_and_every_image_in_one_fold(seed, folds):
    is_ng, groups = parts(np.random.default_rng(seed))
    fold_of = grouped_folds(is_ng, groups, folds, seed)
    assert all(len(set(fold_of[np.array(groups) == group])) == 1 for group in set(groups))
    assert set(fold_of) == set(range(folds))


@pytest.mark.parametrize("seed", range(10))
def test_ng_and_ok_images_are_spread_evenly(seed):
    is_ng, groups = parts(np.random.default_rng(seed))
    fold_of = grouped_folds(is_ng, groups, 3, seed)
    ng = Counter(fold_of[is_ng])
    assert max(ng.values()) - min(ng.values()) <= 2
    sizes = Counter(fold_of)
    assert max(sizes.values()) - min(sizes.values()) <= 16


def test_every_fold_has_ng_images_where_the_groups_allow_it():
    groups = [f"g{i}" for i in range(30)]
    is_ng = np.arange(30) < 3
    assert len(set(grouped_folds(is_ng, groups, 3, 0)[is_ng])) == 3


def test_a_fold_may_lack_ng_images_where_they_do_not_allow_it():
    groups = ["bad"] * 5 + [f"g{i}" for i in range(10)]
    is_ng = np.arange(15) < 5
    fold_of = grouped_folds(is_ng, groups, 3, 0)
    assert len(set(fold_of[is_ng])) == 1
    assert set(fold_of) == {0, 1, 2}


def test_the_seed_decides_and_nothing_else():
    is_ng, groups = parts(np.random.default_rng(0))
    assert (grouped_folds(is_ng, groups, 3, 4) == grouped_folds(is_ng, groups, 3, 4)).all()
    assert (grouped_folds(is_ng, groups, 3, 4) != grouped_folds(is_ng, groups, 3, 5)).any()
    assert (grouped_hold_out(is_ng, groups, 0.3, 4) == grouped_hold_out(is_ng, groups, 0.3, 4)).all()
    assert (grouped_hold_out(is_ng, groups, 0.3, 4) != grouped_hold_out(is_ng, groups, 0.3, 5)).any()


@pytest.mark.parametrize(("groups", "folds"), [(2, 3), (5, 1), (1, 2)])
def test_too_few_groups_are_told(groups, folds):
    with pytest.raises(SplitImpossible, match=f"{folds} folds.*there are {groups} groups"):
        grouped_folds(np.zeros(groups, bool), [str(i) for i in range(groups)], folds, 0)


@pytest.mark.parametrize("seed", range(10))
def test_a_hold_out_takes_about_its_share_of_ok_and_ng_in_whole_groups(seed):
    is_ng, groups = parts(np.random.default_rng(seed))
    held = grouped_hold_out(is_ng, groups, 0.3, seed)
    assert all(len(set(held[np.array(groups) == group])) == 1 for group in set(groups))
    assert held[is_ng].mean() == pytest.approx(0.3, abs=0.08)
    assert held[~is_ng].mean() == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("seed", range(20))
def test_both_sides_of_a_hold_out_get_both_kinds_from_two_groups_each(seed):
    groups = ["a", "b", "c", "d"]
    is_ng = np.array([True, True, False, False])
    held = grouped_hold_out(is_ng, groups, 0.3, seed)
    for side in (held, ~held):
        assert set(is_ng[side]) == {True, False}


def test_the_only_ng_group_stays_in_training():
    groups = ["bad"] + [f"g{i}" for i in range(9)]
    is_ng = np.arange(10) == 0
    for seed in range(20):
        assert not grouped_hold_out(is_ng, groups, 0.3, seed)[0]


def test_one_group_cannot_be_held_out():
    with pytest.raises(SplitImpossible):
        grouped_hold_out(np.zeros(4, bool), ["a"] * 4, 0.3, 0)


def test_images_that_share_a_part_or_their_content_are_one_group():
    items = ["p1", "p1", "p2", "p3", "", "p4"]
    contents = ["x", "y", "y", "z", "w", "z"]
    assert joined_groups(6, [items, contents]) == [0, 0, 0, 3, 4, 3]


def test_empty_keys_join_nothing():
    assert joined_groups(3, [["", "", None], [None, None, None]]) == [0, 1, 2]


def test_long_chains_are_joined_without_deep_recursion():
    count = 20_000
    left = [index // 2 for index in range(count)]
    right = [(index + 1) // 2 for index in range(count)]
    assert set(joined_groups(count, [left, right])) == {0}


@pytest.mark.parametrize("seed", range(10))
def test_a_large_hold_out_leaves_both_kinds_to_train_on(seed):
    is_ng = np.arange(8) < 4
    held = grouped_hold_out(is_ng, [str(index) for index in range(8)], 0.95, seed)
    assert set(is_ng[~held]) == {True, False}
