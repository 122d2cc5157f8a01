import numpy as np
import pytest

from ml.methods.artificial import with_defects


def surface(channels=1, height=96, width=64, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (channels, height, width)).astype(np.float32)


@pytest.mark.parametrize("seed", range(30))
def test_what_changed_clearly_is_marked_and_the_rest_hardly_changed(seed):
    image = np.zeros((1, 96, 64), np.float32)
    changed, mask = with_defects(image, np.random.default_rng(seed))
    differs = np.abs(changed - image)[0]
    assert mask.any()
    assert differs[~mask].max(initial=0) <= differs.max()
    assert differs[~mask].mean() < 0.02


def test_the_image_itself_stays_as_it_was():
    image = surface()
    before = image.copy()
    with_defects(image, np.random.default_rng(1))
    np.testing.assert_array_equal(image, before)


def test_the_same_draw_gives_the_same_defect():
    first, second = (with_defects(surface(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_defects_are_small_and_lie_anywhere():
    masks = np.stack([with_defects(surface(), np.random.default_rng(seed))[1] for seed in range(300)])
    assert masks.mean(axis=(1, 2)).max() < 0.3
    assert np.median(masks.mean(axis=(1, 2))) < 0.05
    assert masks.any(axis=0).mean() > 0.95


def test_every_channel_is_changed_at_the_same_place():
    changed, mask = with_defects(np.zeros((3, 40, 40), np.float32), np.random.default_rng(2))
    assert changed.shape == (3, 40, 40)
    assert all(channel[mask].any() for channel in changed)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (8, 8), (7, 300)])
def test_an_image_of_any_size_gets_one(size):
    for seed in range(20):
        changed, mask = with_defects(surface(1, *size), np.random.default_rng(seed))
        assert changed.shape == (1, *size)
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
        assert mask.shape == size
        assert mask.any()
