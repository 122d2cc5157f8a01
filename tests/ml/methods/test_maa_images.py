import numpy as np
import pytest

from ml.methods.declarations import MaaParameters
from ml.methods.maa_images import in_turn, ok_images, preprocessing_of
from ml.preprocessing import ImageUnusable, Rectangle
from tests.ml.methods.builders import training_set


def test_a_tenth_of_the_groups_is_measured_and_not_fitted_on():
    training = training_set(200, groups=[str(index // 4) for index in range(200)])
    ok = ok_images(training, MaaParameters(), seed=0)
    assert ok.are_apart
    assert not training.is_ng[ok.fitted].any()
    assert sorted([*ok.fitted, *ok.measured]) == list(np.flatnonzero(~training.is_ng))
    assert len(ok.measured) == 10
    assert not {training.groups[one] for one in ok.fitted} & {training.groups[one] for one in ok.measured}


def test_the_paper_measures_on_the_images_of_the_fit():
    ok = ok_images(training_set(20), MaaParameters(pauta_on="train"), seed=0)
    assert not ok.are_apart
    assert list(ok.fitted) == sorted(ok.measured) == list(range(0, 20, 2))


def test_where_all_images_are_of_one_part_none_is_set_apart():
    ok = ok_images(training_set(20, groups=["one part"] * 20), MaaParameters(), seed=0)
    assert not ok.are_apart
    assert len(ok.fitted) == len(ok.measured) == 10


def test_at_most_sixty_four_images_are_measured():
    assert len(ok_images(training_set(300), MaaParameters(pauta_on="train"), seed=0).measured) == 64


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(1250, 500, (200, 80)), (500, 1250, (80, 200)), (64, 64, (128, 128)), (8, 8, (128, 128))],
)
def test_the_input_keeps_the_images_proportions_at_as_many_pixels(height, width, expected):
    images = [np.zeros((height, width), np.uint8)] * 12
    preprocessing = preprocessing_of(training_set(images=images), [0, 2, 4], MaaParameters(size=128), seed=0)
    assert (preprocessing.height, preprocessing.width) == expected


def test_the_proportions_are_the_median_images_inside_its_region():
    images = [np.zeros((90, 40 if index < 4 else 400), np.uint8) for index in range(12)]
    training = training_set(images=images, rois={"": Rectangle(0, 10, 40, 90)})
    preprocessing = preprocessing_of(training, range(12), MaaParameters(size=64), seed=0)
    assert (preprocessing.height, preprocessing.width) == (88, 48)


def test_very_long_images_keep_a_side_that_the_discriminator_can_see():
    images = [np.zeros((4000, 10), np.uint8)] * 12
    preprocessing = preprocessing_of(training_set(images=images), [0], MaaParameters(size=64), seed=0)
    assert (preprocessing.height, preprocessing.width) == (184, 32)


def test_the_paper_squeezes_every_image_into_a_square_of_minus_one_to_one():
    images = [np.array([[0, 255]] * 3, np.uint8)] * 12
    parameters = MaaParameters(shape="square", size=64)
    preprocessing = preprocessing_of(training_set(images=images), [0], parameters, seed=0)
    batch = preprocessing.apply(images[:1])
    assert batch.shape == (1, 3, 64, 64)
    assert (batch.min(), batch.max()) == (-1, 1)


def test_an_image_smaller_than_its_region_is_refused():
    training = training_set(rois={"": Rectangle(0, 0, 65, 64)})
    with pytest.raises(ImageUnusable):
        preprocessing_of(training, [0], MaaParameters(), seed=0)


def test_every_image_comes_as_often_as_every_other():
    images = np.array([3, 5, 8, 9])
    drawn = np.concatenate([in_turn(images, start, 3, [0]) for start in range(0, 24, 3)])
    assert set(np.bincount(drawn)[images]) == {6}
    assert sorted(drawn[:4]) == sorted(drawn[4:8]) == list(images)


def test_the_order_is_the_same_wherever_it_is_entered():
    images = np.arange(7)
    whole = in_turn(images, 0, 30, [1, 2])
    assert list(in_turn(images, 11, 9, [1, 2])) == list(whole[11:20])
    assert list(in_turn(images, 0, 30, [1, 3])) != list(whole)
