"""Distances of patches from what they are on OK images."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis

from ml.methods.maa_comparisons import Compared
from ml.methods.maa_network import FEATURES
from ml.methods.maa_patches import PatchDistances, whitening_of


def residuals_of(count: int, rows: int = 3, columns: int = 4) -> torch.Tensor:
    """[count, 512, rows, columns], correlated, with a mean of its own at each place."""
    rng = torch.Generator().manual_seed(0)
    mixing = torch.randn(FEATURES, FEATURES, generator=rng) / FEATURES**0.5
    place = torch.randn(1, FEATURES, rows, columns, generator=rng)
    return (
        torch.einsum("dc,nchw->ndhw", mixing, torch.randn(count, FEATURES, rows, columns, generator=rng))
        + place
    )


def compared(seen: torch.Tensor, made: torch.Tensor) -> Compared:
    """Features alone, which is all that is compared here."""
    return Compared(torch.empty(0), torch.empty(0), seen, made)


def distances_of(
    patches: PatchDistances, seen: torch.Tensor, made: torch.Tensor | None = None
) -> torch.Tensor:
    """[B, 12]."""
    made = torch.zeros_like(seen) if made is None else made
    return patches.distances(compared(seen, made)).flatten(1)


def fitted(residuals: torch.Tensor) -> PatchDistances:
    """Fitted on residuals that come one by one."""
    patches = PatchDistances(3, 4, shrinkage=0.1)
    patches.fit(lambda: (compared(one[None], torch.zeros_like(one[None])) for one in residuals))
    return patches


def test_a_distance_is_scipys_mahalanobis_distance_over_its_mean_on_ok_images():
    residuals = residuals_of(60)
    patches = fitted(residuals)
    values = residuals.numpy().astype(np.float64)
    mean = values.mean(axis=0)
    centred = (values - mean).transpose(0, 2, 3, 1).reshape(-1, FEATURES)
    sample = centred.T @ centred / (59 * 12)
    inverse = np.linalg.inv(0.9 * sample + 0.1 * np.trace(sample) / FEATURES * np.eye(FEATURES))
    at_place = [mahalanobis(one[:, 1, 2], mean[:, 1, 2], inverse) ** 2 for one in values]
    seen = residuals_of(61)[60:] * 1.5
    expected = mahalanobis(seen.numpy()[0, :, 1, 2], mean[:, 1, 2], inverse) ** 2 / np.mean(at_place)
    given = distances_of(patches, seen)[0]
    assert given[1 * 4 + 2].item() == pytest.approx(expected, rel=1e-4)


def test_distances_are_one_on_average_at_every_place_of_ok_images():
    residuals = residuals_of(30)
    patches = fitted(residuals)
    torch.testing.assert_close(
        distances_of(patches, residuals).mean(dim=0), torch.ones(12), rtol=1e-4, atol=0
    )


def test_only_the_difference_of_the_two_images_counts():
    patches, seen, made = PatchDistances(3, 4, shrinkage=0.1), *residuals_of(2).split(1)
    torch.testing.assert_close(
        distances_of(patches, seen + 5, made + 5), distances_of(patches, seen, made), rtol=1e-3, atol=1e-3
    )


def test_the_descriptor_is_the_mean_of_the_images_features():
    seen, made = residuals_of(2).split(1)
    torch.testing.assert_close(
        PatchDistances(3, 4, shrinkage=0.1)(compared(seen, made))[:, 12:], seen.mean(dim=(2, 3))
    )


def test_whitening_undoes_the_shrunk_covariance():
    values = torch.randn(5, 8, dtype=torch.float64)
    sample = values.T @ values
    shrunk = 0.8 * sample + 0.2 * sample.trace() / 8 * torch.eye(8, dtype=torch.float64)
    whitening = whitening_of(sample, 0.2)
    torch.testing.assert_close(whitening @ shrunk @ whitening.T, torch.eye(8, dtype=torch.float64))


@pytest.mark.parametrize("count", [1, 5])
def test_residuals_without_variation_give_finite_distances(count):
    residuals = torch.ones(count, FEATURES, 3, 4)
    distances = distances_of(fitted(residuals), torch.cat([residuals, 2 * residuals]))
    assert torch.isfinite(distances).all()
    assert (distances[:count] < 1e-3).all()
    assert (distances[count:] > 1).all()


def test_the_map_is_hottest_where_the_distance_is_and_knows_no_rougher_surface():
    patches = PatchDistances(3, 4, shrinkage=0.1)
    distances = torch.arange(1.0, 13.0).flip(0)
    raw = torch.cat([distances, torch.zeros(FEATURES)])[None]
    heat = patches.map_of(torch.cat([raw, 5 * raw]))
    assert heat.shape == (2, 3, 4)
    assert (heat[0].argmax(), heat[0, 0, 0].item()) == (0, pytest.approx(12 / 7))
    torch.testing.assert_close(heat[0], heat[1])


def test_the_map_of_images_exactly_like_the_ok_ones_is_finite():
    assert PatchDistances(3, 4, shrinkage=0.1).map_of(torch.zeros(1, 12 + FEATURES)).eq(0).all()
