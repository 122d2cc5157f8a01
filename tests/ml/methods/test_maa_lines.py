"""Thin lines, against what they are on OK images."""

import cv2
import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from ml.methods.maa_comparisons import Compared
from ml.methods.maa_lines import BORDER, LENGTH, STRIDE, LineResponses, line_filters
from ml.methods.maa_network import FEATURES

HEIGHT, WIDTH = 96, 80


def noise(count: int, seed: int = 0) -> np.ndarray:
    """float32 [count, H, W]: the grain of a surface."""
    return np.random.default_rng(seed).normal(0, 0.2, (count, HEIGHT, WIDTH)).astype(np.float32)


def compared(images: np.ndarray) -> Compared:
    """Of grey images [B, H, W]."""
    seen = torch.from_numpy(images)[:, None].repeat(1, 3, 1, 1)
    features = torch.zeros(len(seen), FEATURES, 11, 9)
    return Compared(seen, torch.zeros_like(seen), features, features)


def fitted(images: np.ndarray) -> LineResponses:
    lines = LineResponses(HEIGHT, WIDTH)
    lines.fit(lambda: (compared(one[None]) for one in images))
    return lines


def with_line(image: np.ndarray, start: tuple[int, int], end: tuple[int, int], contrast: float) -> np.ndarray:
    drawn = np.zeros_like(image)
    cv2.line(drawn, start, end, 1.0, 1, cv2.LINE_AA)
    return image + np.float32(contrast) * drawn


def test_a_filter_looks_across_a_line_and_adds_up_along_it():
    filters = line_filters()
    assert filters.shape == (12, 1, 33, 33)
    torch.testing.assert_close(filters.sum(dim=(2, 3)), torch.zeros(12, 1), atol=1e-5, rtol=0)
    torch.testing.assert_close((filters**2).sum(dim=(2, 3)), torch.ones(12, 1))
    upright = filters[0, 0]
    assert upright[LENGTH, LENGTH] > 0 > upright[LENGTH, LENGTH + 2]
    assert upright[LENGTH + 6, LENGTH] > upright[LENGTH, LENGTH] / 2
    torch.testing.assert_close(filters[6, 0], upright.T, atol=1e-5, rtol=0)


def test_a_response_is_the_strongest_correlation_with_a_filter():
    image = noise(1)
    given = LineResponses(HEIGHT, WIDTH).measured(compared(image))[0].numpy()
    around = np.pad(image[0], LENGTH, mode="reflect")
    each = [np.abs(correlate2d(around, one[0].numpy(), mode="valid")) for one in line_filters()]
    expected = np.max(each, axis=0)[::STRIDE, ::STRIDE]
    inside = slice(BORDER, -BORDER)
    np.testing.assert_allclose(given, expected[inside, inside], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("contrast", [-1.0, 1.0])
@pytest.mark.parametrize("end", [(60, 50), (20, 82), (58, 70)])
def test_a_faint_line_is_the_hottest_place_darker_or_brighter(contrast, end):
    lines = fitted(noise(20))
    with torch.no_grad():
        raw = lines(compared(with_line(noise(1, seed=9)[0], (20, 50), end, 0.6 * contrast)[None]))
    heat = lines.map_of(raw)[0]
    row, column = (STRIDE * place for place in divmod(int(heat.argmax()), heat.shape[1]))
    start, along = np.array([20, 50]), np.subtract(end, (20, 50)) / np.hypot(*np.subtract(end, (20, 50)))
    offset = np.array([column, row]) - start
    assert abs(offset[0] * along[1] - offset[1] * along[0]) <= 3
    assert heat.shape == (HEIGHT / STRIDE, WIDTH / STRIDE)
    assert heat[:BORDER].max() == heat[:, -BORDER:].max() == 0
    assert heat.max() > 1.5 * lines.map_of(lines(compared(noise(1, seed=9))))[0].max()


def test_brighter_and_rougher_images_have_no_more_lines():
    lines, image = fitted(noise(20)), noise(1, seed=9)
    as_it_is = lines.map_of(lines(compared(image)))
    torch.testing.assert_close(lines.map_of(lines(compared(3 * image + 0.4))), as_it_is, rtol=1e-3, atol=1e-3)


def test_a_line_that_every_ok_image_has_is_none():
    part = with_line(np.zeros((HEIGHT, WIDTH), np.float32), (30, 20), (30, 70), 1.0)
    lines = fitted(noise(20) + part)
    usual = lines.distances(compared(noise(1, seed=9) + part))
    assert usual.max() < 3
    assert fitted(noise(20)).distances(compared(noise(1, seed=9) + part)).max() > 5


def test_on_ok_images_the_distances_are_about_one_on_average():
    images = noise(30)
    assert fitted(images).distances(compared(images)).mean().item() == pytest.approx(1, abs=0.02)


def test_images_of_one_colour_have_no_lines():
    flat = np.zeros((2, HEIGHT, WIDTH), np.float32)
    lines = fitted(flat)
    assert lines.map_of(lines(compared(flat))).eq(0).all()
