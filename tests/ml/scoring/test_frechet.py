"""The Fréchet distance of eq. (7) against SciPy and closed forms."""

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from ml.scoring.frechet import frechet_distance


def textbook(first: np.ndarray, second: np.ndarray, shrinkage: float) -> float:
    """Eq. (7) as it is printed, with SciPy's square root of the matrix."""
    covariances = []
    for values in (first, second):
        sample = np.cov(values, rowvar=False)
        mean_variance = np.trace(sample) / len(sample)
        covariances.append((1 - shrinkage) * sample + shrinkage * mean_variance * np.eye(len(sample)))
    gap = first.mean(axis=0) - second.mean(axis=0)
    root = sqrtm(covariances[0] @ covariances[1])
    return float(gap @ gap + np.trace(sum(covariances) - 2 * root.real))


def features(images: int, count: int, width: int, seed: int = 0) -> np.ndarray:
    """float32 [images, count, width], correlated as the features of a network are."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(images, count, width)) @ rng.normal(size=(width, width)) + rng.normal(
        size=width
    )
    return values.astype(np.float32)


@pytest.mark.parametrize("shrinkage", [0.0, 0.05, 1.0])
@pytest.mark.parametrize(
    ("count", "width"), [(200, 64), (60, 64), (20, 64)], ids=["many", "few", "fewer than half the features"]
)
def test_it_is_the_textbooks_distance(count, width, shrinkage):
    first, second = features(3, count, width, 1), features(3, count, width, 2)
    exact = [
        textbook(*pair, shrinkage) for pair in zip(first.astype(float), second.astype(float), strict=True)
    ]
    np.testing.assert_allclose(frechet_distance(first, second, shrinkage), exact, rtol=1e-4)


def test_it_is_the_textbooks_distance_at_the_size_of_the_method():
    first = features(1, 225, 512, 1)
    second = (first + 0.2 * features(1, 225, 512, 2)).astype(np.float32)
    exact = textbook(first[0].astype(float), second[0].astype(float), 0.1)
    np.testing.assert_allclose(frechet_distance(first, second, 0.1), [exact], rtol=1e-4)


@pytest.mark.parametrize("is_turned", [False, True], ids=["diagonal", "turned alike"])
def test_it_is_the_closed_form_where_the_covariances_commute(is_turned):
    """|μ₁ - μ₂|² + Σ (σ₁ - σ₂)²: vectors at ±σ√k on each axis have just these variances."""
    rng = np.random.default_rng(0)
    width = 12
    deviations = rng.uniform(0.1, 3, (2, width))
    means = rng.normal(size=(2, width))
    turn = ortho_group.rvs(width, random_state=0) if is_turned else np.eye(width)
    corners = np.concatenate([np.eye(width), -np.eye(width)]) * np.sqrt(width - 0.5)
    first, second = (
        corners * deviation @ turn + mean for deviation, mean in zip(deviations, means, strict=True)
    )
    expected = ((means[0] - means[1]) ** 2).sum() + ((deviations[0] - deviations[1]) ** 2).sum()
    np.testing.assert_allclose(frechet_distance(first[None], second[None], 0.0), [expected], rtol=1e-12)


def test_fully_shrunk_covariances_are_balls():
    first, second = features(1, 40, 16, 1), features(1, 40, 16, 2)
    deviations = [np.sqrt(np.trace(np.cov(one[0], rowvar=False)) / 16) for one in (first, second)]
    gap = first[0].mean(axis=0) - second[0].mean(axis=0)
    expected = gap @ gap + 16 * (deviations[0] - deviations[1]) ** 2
    np.testing.assert_allclose(frechet_distance(first, second, 1.0), [expected], rtol=1e-5)


@pytest.mark.parametrize("shrinkage", [0.0, 0.1])
@pytest.mark.parametrize("count", [9, 40, 200])
def test_an_image_is_at_no_distance_from_itself(count, shrinkage):
    values = features(2, count, 64)
    size = values.var(axis=1).sum(axis=1)
    assert (frechet_distance(values, values, shrinkage) <= 1e-6 * size).all()


def test_it_is_the_same_both_ways_and_from_any_origin():
    first, second = features(2, 50, 32, 1).astype(float), features(2, 50, 32, 2).astype(float)
    there = frechet_distance(first, second, 0.1)
    np.testing.assert_allclose(frechet_distance(second, first, 0.1), there, rtol=1e-9)
    np.testing.assert_allclose(frechet_distance(first + 100, second + 100, 0.1), there, rtol=1e-9)


def test_the_order_of_the_patches_does_not_matter():
    first, second = features(1, 50, 32, 1), features(1, 50, 32, 2)
    shuffled = first[:, np.random.default_rng(0).permutation(50)]
    np.testing.assert_allclose(
        frechet_distance(shuffled, second, 0.1), frechet_distance(first, second, 0.1), rtol=1e-9
    )


def test_images_without_any_variation_are_as_far_apart_as_their_means():
    flat = np.ones((1, 30, 40), np.float32)
    assert frechet_distance(flat, 3 * flat, 0.1)[0] == pytest.approx(40 * 4)
    assert frechet_distance(flat, flat, 0.0)[0] == 0


def test_rounding_in_float32_moves_it_by_little():
    """What an engine computes in another order must not change a score."""
    first, second = features(1, 225, 128, 1), features(1, 225, 128, 2)
    noise = 1 + 1e-6 * np.random.default_rng(0).normal(size=first.shape)
    moved = frechet_distance((first * noise).astype(np.float32), second, 0.05)
    np.testing.assert_allclose(moved, frechet_distance(first, second, 0.05), rtol=1e-5)


def test_a_distance_does_not_depend_on_the_other_images(monkeypatch):
    first, second = features(7, 30, 16, 1), features(7, 30, 16, 2)
    together = frechet_distance(first, second, 0.1)
    monkeypatch.setattr("ml.scoring.frechet.AT_ONCE_BYTES", 3 * 16 * 30 * 16)
    np.testing.assert_allclose(frechet_distance(first, second, 0.1), together, rtol=1e-12)
    alone = [frechet_distance(first[i : i + 1], second[i : i + 1], 0.1)[0] for i in range(7)]
    np.testing.assert_allclose(alone, together, rtol=1e-12)


def test_one_vector_has_no_covariance():
    with pytest.raises(ValueError, match="at least two vectors"):
        frechet_distance(np.zeros((2, 1, 5)), np.zeros((2, 1, 5)), 0.1)
