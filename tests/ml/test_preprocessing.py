import json

import cv2
import numpy as np
import pytest

from ml.preprocessing import ImageUnusable, Preprocessing, Rectangle


def test_known_pixels_become_known_numbers():
    image = np.array([[0, 255], [51, 102]], np.uint8)
    batch = Preprocessing(2, 2, mean=(0.2,), std=(0.5,)).apply([image])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, [[[[-0.4, 1.6], [0.0, 0.4]]]], atol=1e-6)


def test_the_roi_is_cut_before_the_resize():
    image = np.zeros((40, 60), np.uint8)
    image[10:20, 30:50] = 200
    cut = Preprocessing(10, 20, rois={"": Rectangle(30, 10, 50, 20)}).resized(image)
    assert cut.shape == (10, 20)
    assert (cut == 200).all()


def test_each_view_has_its_own_roi_and_the_rest_share_the_general_one():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    preprocessing = Preprocessing(2, 2, rois={"top": Rectangle(0, 0, 2, 2), "": Rectangle(4, 4, 6, 6)})
    assert preprocessing.resized(image, "top")[0, 0] == 0
    assert preprocessing.resized(image, "side")[0, 0] == 44


def test_shrinking_averages_areas():
    stripes = np.tile(np.array([0, 0, 240, 240], np.uint8), (4, 4))  # two columns to one
    assert Preprocessing(2, 8).resized(stripes).tolist() == [[0, 240] * 4] * 2
    assert (Preprocessing(1, 4).resized(stripes) == 120).all()


def test_colour_becomes_grey_by_the_usual_weights_of_rgb():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert Preprocessing(4, 4).resized(red)[0, 0] == 76  # 0.299; as BGR it would be 29


def test_grey_becomes_rgb_with_three_equal_channels():
    grey = np.full((4, 4), 90, np.uint8)
    batch = Preprocessing(4, 4, "rgb", (0.0,) * 3, (1.0,) * 3).apply([grey])
    assert batch.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(batch, 90 / 255, atol=1e-6)


def test_channels_are_normalised_one_by_one():
    image = np.full((2, 2, 3), 255, np.uint8)
    batch = Preprocessing(2, 2, "rgb", (0.0, 0.5, 1.0), (1.0, 0.5, 0.25)).apply([image])
    np.testing.assert_allclose(batch[0, :, 0, 0], [1.0, 1.0, 0.0], atol=1e-6)


def test_an_image_does_not_depend_on_its_neighbours_in_the_batch():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (30 + i, 20), dtype=np.uint8) for i in range(3)]
    preprocessing = Preprocessing(16, 16)
    together = preprocessing.apply(images)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(preprocessing.apply([image])[0], together[index])


def test_the_source_image_is_left_as_it_was():
    image = np.full((8, 8), 7, np.uint8)
    Preprocessing(8, 8).apply([image])
    assert (image == 7).all()


def test_an_image_smaller_than_its_roi_is_unusable_and_told_with_sizes():
    preprocessing = Preprocessing(8, 8, rois={"": Rectangle(0, 0, 100, 50)})
    with pytest.raises(ImageUnusable, match=r"60 x 40 pixels.*\(100, 50\)"):
        preprocessing.apply([np.zeros((40, 60), np.uint8)])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((0, 8), np.uint8),
    ],
    ids=["float", "four channels", "one dimension", "no pixels"],
)
def test_what_is_no_image_is_unusable(image):
    with pytest.raises(ImageUnusable):
        Preprocessing(8, 8).apply([image])


def test_as_many_views_as_images_are_needed():
    with pytest.raises(ValueError, match="argument"):
        Preprocessing(8, 8).apply([np.zeros((8, 8), np.uint8)] * 2, ["top"])


def test_the_card_gives_back_the_same_preprocessing():
    written = Preprocessing(
        704, 256, "rgb", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), {"top": Rectangle(1, 2, 30, 40)}
    )
    assert Preprocessing.from_json(json.loads(json.dumps(written.to_json()))) == written


@pytest.mark.parametrize(
    "change",
    [{"std": [0.0]}, {"std": [float("nan")]}, {"mean": [0.1, 0.2]}, {"height": 0}, {"colour": "bgr"},
     {"rois": {"": [5, 5, 5, 9]}}, {"rois": [1]}, {"mean": None}],
)  # fmt: skip
def test_a_card_with_nonsense_is_refused(change):
    with pytest.raises(ValueError):
        Preprocessing.from_json(Preprocessing(8, 8).to_json() | change)


def test_resizing_is_that_of_opencv_in_both_directions():
    image = np.random.default_rng(3).integers(0, 256, (50, 31), dtype=np.uint8)
    np.testing.assert_array_equal(
        Preprocessing(25, 17).resized(image), cv2.resize(image, (17, 25), interpolation=cv2.INTER_AREA)
    )
    np.testing.assert_array_equal(
        Preprocessing(80, 64).resized(image), cv2.resize(image, (64, 80), interpolation=cv2.INTER_LINEAR)
    )
