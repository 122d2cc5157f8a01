"""Types of defects: on made groups, and where there is nothing to find."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ml.methods.discovery import (
    DiscoveryImpossible,
    find_types,
    group,
    histograms,
    keep_types,
    nearest_type,
    purity,
)


def clouds(sizes: tuple[int, ...], width: int = 20, apart: float = 12.0) -> tuple[np.ndarray, np.ndarray]:
    """Groups of points around far places, and the group of each."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, apart, (len(sizes), width))
    of_point = np.repeat(np.arange(len(sizes)), sizes)
    return centres[of_point] + rng.normal(0, 1, (len(of_point), width)), of_point


@pytest.mark.parametrize("sizes", [(30, 20), (25, 20, 15), (20, 20, 20, 20, 20)])
def test_the_silhouette_finds_how_many_groups_were_made(sizes):
    rows, made = clouds(sizes)
    types = find_types(rows)
    assert types.count == len(sizes)
    assert adjusted_rand_score(made, types.of_image) == 1
    assert max(types.silhouettes, key=types.silhouettes.get) == len(sizes)
    assert set(types.silhouettes) == set(range(2, 11))


def test_a_number_of_types_that_is_given_is_kept():
    rows, _made = clouds((20, 20))
    types = find_types(rows, count=4)
    assert (types.count, set(types.silhouettes)) == (4, {4})


def test_the_same_seed_gives_the_same_map():
    rows, _made = clouds((12, 12))
    first, again = find_types(rows, seed=3), find_types(rows, seed=3)
    np.testing.assert_array_equal(first.places, again.places)
    np.testing.assert_array_equal(first.of_image, again.of_image)


def test_type_0_is_the_largest():
    rows, _made = clouds((12, 30, 20))
    types = find_types(rows)
    assert np.bincount(types.of_image).tolist() == [30, 20, 12]


def test_a_new_image_is_of_the_type_whose_centroid_is_nearest():
    rows, made = clouds((25, 20, 15))
    types = find_types(rows[::2])
    placed = nearest_type(rows[1::2], types.centroids)
    assert adjusted_rand_score(made[1::2], placed) == 1
    np.testing.assert_allclose(types.centroids[0], rows[::2][types.of_image == 0].mean(axis=0))


def test_kept_types_sort_other_images_and_draw_a_map_of_them():
    rows, made = clouds((25, 20, 15))
    found = find_types(rows[::2])
    kept = keep_types(rows[1::2], found.centroids)
    assert adjusted_rand_score(made[1::2], kept.of_image) == 1
    assert kept.places.shape == (30, 2)
    np.testing.assert_array_equal(kept.centroids, found.centroids)
    with pytest.raises(DiscoveryImpossible, match="At least 5 images"):
        keep_types(rows[:4], found.centroids)


def test_images_with_one_number_each_have_a_map_too():
    rows, made = clouds((15, 15), width=1, apart=40)
    types = find_types(rows, count=2)
    assert types.places.shape == (30, 2)
    assert adjusted_rand_score(made, types.of_image) == 1


@pytest.mark.parametrize(
    ("rows", "count", "message"),
    [
        (np.eye(4), None, "At least 5 images are needed to find types among; there are 4"),
        (np.ones((9, 3)), None, "All 9 images look the same"),
        (np.eye(6), 7, "There are 6 images: 7 types can't be found among them"),
        (np.repeat(np.eye(3), 4, axis=0), 4, "Only 3 of the 12 images differ"),
        (np.eye(6), 1, "At least 2 types"),
    ],
)
def test_where_no_types_can_be_found_it_says_why(rows, count, message):
    with pytest.raises(DiscoveryImpossible, match=message):
        find_types(rows, count)


def test_a_few_images_with_copies_among_them_are_grouped_all_the_same():
    types = find_types(np.repeat(np.eye(2) * 9, 4, axis=0), count=2)
    assert types.count == 2


def test_k_means_finds_no_more_groups_than_rows_differ():
    assert len(set(group(np.repeat(np.eye(2), 3, axis=0), 5, seed=0))) == 2


def test_purity_counts_the_images_of_their_types_most_frequent_class():
    assert purity([0, 0, 0, 1, 1], ["a", "a", "b", "b", "b"]) == pytest.approx(4 / 5)
    assert purity([0] * 4, ["a", "b", "c", "d"]) == 0.25
    with pytest.raises(ValueError):
        purity([], [])


def test_histograms_count_every_image_once_and_tell_mean_and_variance():
    norms = np.array([1e-6, 2e-6, 4e-6, 1e-3, 2e-3])
    found = histograms(norms, ["OK", "OK", "OK", "crack", "crack"])
    assert list(found["classes"]) == ["OK", "crack"]
    assert sum(found["classes"]["OK"]["counts"]) == 3
    assert sum(found["classes"]["crack"]["counts"]) == 2
    assert found["classes"]["OK"]["mean"] == pytest.approx(norms[:3].mean())
    assert found["classes"]["crack"]["variance"] == pytest.approx(0.25e-6)
    assert len(found["edges"]) == 31


def test_a_histogram_of_equal_or_vanished_norms_has_bins():
    for norms in (np.full(3, 2e-9), np.zeros(3)):
        found = histograms(norms, ["OK"] * 3)
        assert sum(found["classes"]["OK"]["counts"]) == 3
        assert (np.diff(found["edges"]) > 0).all()


def test_a_norm_next_to_nothing_does_not_stretch_the_histogram():
    found = histograms(np.array([1e-300, 0.0, 1e-5, 2e-5, 4e-5]), ["OK"] * 5)
    assert found["edges"][0] == pytest.approx(1e-11)
    assert found["classes"]["OK"]["counts"][0] == 2
    assert sum(found["classes"]["OK"]["counts"]) == 5
