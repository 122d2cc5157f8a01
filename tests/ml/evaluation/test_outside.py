import numpy as np
import pytest

from ml.evaluation.outside import share_outside, shares_outside
from ml.preprocessing import Preprocessing, Rectangle

WHOLE = Rectangle(0, 0, 40, 20)  # a map of 2 × 4 cells of 10 × 10 px covers it


def hot(*cells: tuple[int, int]) -> np.ndarray:
    heat_map = np.zeros((2, 4), np.float32)
    for cell in cells:
        heat_map[cell] = 0.5
    return heat_map


@pytest.mark.parametrize(
    ("cells", "roi", "share"),
    [
        ([(0, 0)], Rectangle(0, 0, 10, 10), 0.0),
        ([(0, 0)], Rectangle(20, 0, 40, 20), 1.0),
        ([(0, 0), (1, 3)], Rectangle(0, 0, 20, 20), 0.5),
        ([(0, 0)], Rectangle(5, 0, 40, 20), 0.5),
        ([(0, 0)], Rectangle(5, 5, 40, 20), 0.75),
        ([(0, 1)], Rectangle(12, 3, 17, 7), 0.8),
        ([(0, 0), (1, 3)], WHOLE, 0.0),
    ],
)
def test_a_cell_counts_by_the_area_that_lies_outside(cells, roi, share):
    assert share_outside(hot(*cells), WHOLE, roi) == pytest.approx(share)


def test_it_agrees_with_counting_pixels():
    rng = np.random.default_rng(0)
    heat_map = rng.random((7, 5))
    covered, roi = Rectangle(30, 40, 130, 250), Rectangle(52, 77, 119, 201)
    pixels = np.kron(heat_map, np.ones((30, 20)))
    inside = pixels[roi.top - 40 : roi.bottom - 40, roi.left - 30 : roi.right - 30].sum()
    assert share_outside(heat_map, covered, roi) == pytest.approx(1 - inside / pixels.sum())


def test_a_map_of_nothing_has_no_share():
    assert share_outside(np.zeros((2, 4)), WHOLE, Rectangle(0, 0, 10, 10)) is None


@pytest.mark.parametrize("heat_map", [np.zeros(4), np.full((2, 2), -1.0), np.full((2, 2), np.nan)])
def test_what_is_no_map_is_refused(heat_map):
    with pytest.raises(ValueError, match="a map is"):
        share_outside(heat_map, WHOLE, WHOLE)


def test_the_jig_at_the_left_is_found_out():
    images = [np.zeros((20, 40), np.uint8)] * 3
    maps = np.stack([hot((0, 0), (1, 0))] * 3)
    rois = {"top": Rectangle(5, 0, 40, 20), "side": WHOLE}
    shares = shares_outside(Preprocessing(8, 8), images, ["top", "side", "back"], maps, rois)
    assert shares == [pytest.approx(0.5), pytest.approx(0.0), None]


def test_a_model_with_a_region_of_its_own_is_measured_where_its_map_lies():
    own = Preprocessing(8, 8, rois={"": Rectangle(20, 0, 40, 20)})
    image, maps = np.zeros((20, 40), np.uint8), hot((0, 0))[None]
    assert shares_outside(own, [image], ["x"], maps, {"": Rectangle(20, 0, 40, 20)}) == [0.0]
