import cv2
import numpy as np
import pytest

from annotation.fingerprints import fingerprint


def texture(seed, height=120, width=200):
    noise = np.random.default_rng(seed).normal(0, 1, (height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return (smooth / smooth.std() * 40 + 128).clip(0, 255).astype(np.uint8)


def apart(one, other) -> int:
    return (int(fingerprint(one), 16) ^ int(fingerprint(other), 16)).bit_count()


CHANGES = {
    "darker": lambda pixels: (pixels * 0.7).astype(np.uint8),
    "smaller": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "JPEG": lambda pixels: cv2.imdecode(cv2.imencode(".jpg", pixels)[1], cv2.IMREAD_GRAYSCALE),
    "RGB": lambda pixels: np.stack([pixels] * 3, axis=2),
    "one pixel aside": lambda pixels: np.roll(pixels, 1, axis=1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_same_picture_stays_near_itself(change):
    assert max(apart(texture(seed), CHANGES[change](texture(seed))) for seed in range(5)) <= 40


def test_unlike_pictures_are_far_apart():
    assert min(apart(texture(seed), texture(seed + 100)) for seed in range(20)) > 60


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 500), (8, 8, 3)])
def test_any_size_has_one(shape):
    assert len(fingerprint(np.zeros(shape, np.uint8))) == 64
