import numpy as np
import pytest

from ml.preprocessing import Preprocessing
from ml.serving.artefact import HELD_OUT, ArtefactError, read_card, verify_artefact
from ml.serving.held_out import (
    MAX_BYTES,
    MAX_IMAGES,
    calibration_limit,
    choose_held_out,
    image_limit,
    read_held_out,
)
from tests.ml.serving.builders import hold_out, make_artefact


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def test_held_out_images_read_back_as_they_were_added(folder):
    held = hold_out(folder)
    read = read_held_out(folder, verify_artefact(folder))
    for name in ("images", "ids", "is_ng", "expected", "calibration"):
        np.testing.assert_array_equal(getattr(read, name), getattr(held, name))
    assert read.of == 36
    assert read.is_ng.dtype == bool


def test_a_flipped_bit_or_a_missing_file_is_noticed(folder):
    hold_out(folder)
    content = bytearray((folder / HELD_OUT).read_bytes())
    content[-1] ^= 1
    (folder / HELD_OUT).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match=r"held_out\.safetensors is not the file"):
        verify_artefact(folder)
    (folder / HELD_OUT).unlink()
    with pytest.raises(ArtefactError, match=r"held_out\.safetensors is missing"):
        verify_artefact(folder)


def test_an_artefact_without_held_out_images_is_whole_and_says_that_it_has_none(folder):
    with pytest.raises(ArtefactError, match=r"does not vouch for held_out\.safetensors"):
        read_held_out(folder, verify_artefact(folder))


def test_few_images_are_all_held():
    assert choose_held_out([0.3, 0.1], 0.5, 10) == [0, 1]
    assert choose_held_out([], 0.5, 10) == []


def test_of_many_images_those_nearest_to_the_threshold_are_held_and_both_ends():
    scores = np.random.default_rng(0).permutation(1000) / 1000
    chosen = choose_held_out(scores, 0.7, 20)
    values = sorted(scores[chosen])
    assert len(values) == 20
    assert {0.697, 0.7, 0.703} <= set(values)
    assert (values[0], values[-1]) == (0.0, 0.999)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (224, 224), (1408, 512), (4096, 4096)])
def test_large_images_are_fewer_so_that_an_artefact_stays_bounded(height, width):
    preprocessing = Preprocessing(height, width)
    held, scales = image_limit(preprocessing), calibration_limit(preprocessing)
    assert 8 <= held <= MAX_IMAGES
    assert scales >= 4
    assert (held + scales) * height * width <= max(MAX_BYTES, 12 * height * width)


def test_the_card_of_an_artefact_with_held_out_images_still_reads(folder):
    before = read_card(folder)
    hold_out(folder)
    after = read_card(folder)
    assert (after.extra, after.scoring, after.classes) == (before.extra, before.scoring, before.classes)
    assert set(after.files) == {*before.files, HELD_OUT}
