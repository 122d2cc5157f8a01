import json
import re
import shutil

import numpy as np
import pytest

from ml.serving.artefact import (
    CARD,
    CARD_VERSION,
    ONNX,
    PARITY,
    WEIGHTS,
    ArtefactError,
    read_card,
    read_parity,
    verify_artefact,
)
from ml.serving.predictor import load_predictor
from tests.ml.serving.builders import expected_of, make_artefact, make_images, make_network

FILES = [WEIGHTS, ONNX, PARITY]


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


def change_card(folder, **changes):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | changes))


def test_a_card_reads_back_as_it_was_written(folder):
    card = verify_artefact(folder)
    assert (card.method, card.classes, card.extra) == ("weak", ("OK", "NG"), {"note": "größer"})
    assert set(card.files) == set(FILES)


def test_held_images_read_back_with_their_views_scores_and_maps(folder):
    held = read_parity(folder, read_card(folder))
    for image, original in zip(held.images, make_images(), strict=True):
        np.testing.assert_array_equal(image, original)
    assert list(held.views) == ["top"] * 4
    np.testing.assert_array_equal(held.expected.scores, expected_of(make_images()).scores)
    np.testing.assert_array_equal(held.expected.maps, expected_of(make_images()).maps)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, -1, 100])
def test_one_flipped_bit_is_noticed(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[place % len(content)] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ArtefactError, match=re.escape(name)):
        verify_artefact(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtefactError, match=rf"{name} is missing"):
        verify_artefact(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_noticed(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtefactError, match=re.escape(name)):
        verify_artefact(folder)


def test_the_network_of_another_model_is_refused_on_loading(folder):
    (folder / ONNX).write_bytes(make_network("log"))
    with pytest.raises(ArtefactError, match="not the file that was exported"):
        load_predictor(folder)


def test_a_folder_without_a_card_is_no_artefact(folder):
    (folder / CARD).unlink()
    with pytest.raises(ArtefactError, match=r"no card\.json"):
        read_card(folder)
    shutil.rmtree(folder)
    with pytest.raises(ArtefactError, match=r"no card\.json"):
        read_card(folder)


@pytest.mark.parametrize("version", [CARD_VERSION + 1, 0, str(CARD_VERSION), None])
def test_a_card_of_another_version_is_refused_by_its_number(folder, version):
    change_card(folder, card_version=version)
    with pytest.raises(ArtefactError, match=f"version {version!r}; this program reads"):
        read_card(folder)


@pytest.mark.parametrize(
    "changes",
    [{"preprocessing": {"height": 3}}, {"preprocessing": None}, {"files": [1]}, {"seed": "x"}, {"extra": 4}],
)
def test_a_card_with_nonsense_is_refused(folder, changes):
    change_card(folder, **changes)
    with pytest.raises(ArtefactError):
        read_card(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_card_that_is_no_card_is_refused(folder, content):
    (folder / CARD).write_bytes(content)
    with pytest.raises(ArtefactError):
        read_card(folder)


def test_a_card_of_absurd_size_is_not_read(folder):
    (folder / CARD).write_bytes(b" " * 10_000_001)
    with pytest.raises(ArtefactError, match="too large"):
        read_card(folder)


def test_a_file_that_the_card_does_not_vouch_for_is_refused(folder):
    files = json.loads((folder / CARD).read_text())["files"]
    del files[ONNX]
    change_card(folder, files=files)
    with pytest.raises(ArtefactError, match=r"does not vouch for model\.onnx"):
        load_predictor(folder)


def test_a_pickle_in_place_of_the_weights_is_never_opened(folder):
    import hashlib
    import pickle

    content = pickle.dumps({"weights": 1})
    (folder / WEIGHTS).write_bytes(content)
    files = json.loads((folder / CARD).read_text())["files"]
    files[WEIGHTS] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_card(folder, files=files)
    with pytest.raises(ArtefactError, match=r"weights\.safetensors is not of this method"):
        load_predictor(folder, "torch")
