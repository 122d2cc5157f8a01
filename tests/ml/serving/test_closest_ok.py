import numpy as np
import pytest

from ml.serving.artefact import OK_IMAGES, ArtefactError, read_card, verify_artefact
from ml.serving.closest_ok import ClosestOk, add_ok_images, read_closest_ok
from ml.serving.predictor import load_predictor
from tests.ml.serving.builders import make_artefact


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def test_the_closest_is_the_one_that_every_distance_says():
    rng = np.random.default_rng(0)
    known, seen = rng.normal(size=(40, 7)), rng.normal(size=(9, 7))
    distances = np.linalg.norm(seen[:, None] - known[None], axis=2)
    ids = np.arange(100, 140)
    assert ClosestOk(ids, known).of(seen) == ids[distances.argmin(axis=1)].tolist()


def test_an_image_is_closest_to_itself():
    known = np.random.default_rng(1).normal(1000, 1, (30, 5)).astype(np.float32)
    assert ClosestOk(np.arange(30), known).of(known) == list(range(30))


def test_what_was_added_is_vouched_for_and_read_again(folder):
    add_ok_images(folder, [7, 9], np.float32([[0, 0], [1, 1]]))
    card = verify_artefact(folder)
    assert OK_IMAGES in card.files
    assert read_closest_ok(folder, card).of(np.float32([[0.9, 0.8]])) == [9]
    assert load_predictor(folder, "onnxruntime").closest_ok is not None


def test_an_artefact_without_them_is_served_all_the_same(folder):
    assert read_closest_ok(folder, read_card(folder)) is None
    assert load_predictor(folder, "onnxruntime").closest_ok is None


def test_a_flipped_byte_is_found(folder):
    add_ok_images(folder, [7, 9], np.float32([[0, 0], [1, 1]]))
    content = bytearray((folder / OK_IMAGES).read_bytes())
    content[-1] ^= 1
    (folder / OK_IMAGES).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"ok_images\.safetensors is not the file that was exported"):
        verify_artefact(folder)


def test_descriptors_of_another_width_are_refused():
    with pytest.raises(ValueError, match="not of 2 numbers"):
        ClosestOk(np.arange(3), np.zeros((3, 2))).of(np.zeros((1, 5)))


@pytest.mark.parametrize(("ids", "descriptors"), [((0,), (0, 4)), ((3,), (2, 4)), ((3,), (3,))])
def test_numbers_that_do_not_go_with_their_descriptors_are_refused(ids, descriptors):
    with pytest.raises(ValueError, match="do not go with"):
        ClosestOk(np.zeros(ids, np.int64), np.zeros(descriptors))
