import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.methods.contract import Prediction
from ml.preprocessing import ImageUnusable
from ml.scoring import NotOk
from ml.serving import predictor as predictor_module
from ml.serving.artefact import CARD, ArtefactError, read_card
from ml.serving.engines import EngineUnavailable, InferenceFailed, available_engines
from ml.serving.parity import ParityError, check_parity
from ml.serving.predictor import Predictor, load_predictor
from ml.serving.variants import Variant
from tests.ml.serving.builders import SIZE, expected_of, make_artefact, make_images, make_network

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    return make_artefact(tmp_path / "model")


class FakeEngine:
    """Gives what it is told to, and remembers how it was asked."""

    variant = Variant("onnxruntime")
    max_batch = None

    def __init__(self, score=0.5, heat=0.0):
        self.score, self.heat, self.batches = score, heat, []

    def run(self, batch):
        self.batches.append(len(batch))
        maps = np.full((len(batch), 2, 2), self.heat, np.float32)
        return np.full(len(batch), self.score, np.float32), maps


def test_scores_and_maps_are_those_of_the_network(folder):
    images = make_images()
    served = load_predictor(folder)
    given = served.predict(images)
    np.testing.assert_allclose(given.scores, expected_of(images).scores, atol=1e-6)
    np.testing.assert_allclose(given.maps, expected_of(images).maps, atol=1e-6)
    assert (given.scores.dtype, given.maps.dtype) == (np.float64, np.float32)
    assert (served.engine, served.card.method, served.preprocessing.height) == ("onnxruntime", "weak", SIZE)


def test_serving_imports_no_torch(folder):
    script = (
        "import sys, pathlib, numpy as np; from ml.serving.predictor import load_predictor;"
        f"p = load_predictor(pathlib.Path({str(folder)!r})); p.predict([np.zeros((20, 20), np.uint8)]);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_images_of_several_sizes_go_in_one_batch(folder):
    engine = FakeEngine()
    served = Predictor(read_card(folder), engine)
    assert len(served.predict([np.zeros((20, 30), np.uint8), np.zeros((7, 5, 3), np.uint8)]).scores) == 2
    assert engine.batches == [2]


def test_batches_are_bounded_by_memory_and_by_the_engine(folder, monkeypatch):
    engine = FakeEngine()
    served = Predictor(read_card(folder), engine)
    monkeypatch.setattr(predictor_module, "MAX_BATCH_PX", 3 * SIZE * SIZE)
    assert len(served.predict(make_images() * 2).scores) == 8
    assert engine.batches == [3, 3, 2]
    engine.max_batch = 1
    served.predict(make_images())
    assert engine.batches[3:] == [1, 1, 1, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_an_error_and_never_a_verdict(folder, bad):
    with pytest.raises(InferenceFailed, match="score that is not a number"):
        Predictor(read_card(folder), FakeEngine(score=bad)).predict(make_images())


def test_a_map_that_is_no_number_is_an_error(folder):
    with pytest.raises(InferenceFailed, match="map"):
        Predictor(read_card(folder), FakeEngine(heat=np.nan)).predict(make_images())


def test_an_engine_that_gives_too_few_scores_is_an_error(folder):
    engine = FakeEngine()
    engine.run = lambda _batch: (np.zeros(1, np.float32), np.zeros((1, 2, 2), np.float32))
    with pytest.raises(InferenceFailed, match="for 4 images"):
        Predictor(read_card(folder), engine).predict(make_images())


def test_a_real_network_that_overflows_is_an_error(tmp_path):
    images = make_images()
    images[0] = np.zeros_like(images[0])
    expected = expected_of(make_images())
    logs = Prediction(np.log(expected.scores), expected.maps)
    served = load_predictor(make_artefact(tmp_path / "log", network=make_network("log"), expected=logs))
    assert np.isfinite(served.predict(images[1:]).scores).all()
    with pytest.raises(InferenceFailed):
        served.predict(images)


def test_what_the_preprocessing_cannot_take_is_said_to_be_unusable(folder):
    with pytest.raises(ImageUnusable):
        load_predictor(folder).predict([np.zeros((4, 4), np.float32)])


def test_nothing_to_predict_is_a_mistake_of_the_caller(folder):
    with pytest.raises(ValueError, match="no image"):
        load_predictor(folder).predict([])


def test_a_model_that_scores_otherwise_than_in_training_is_not_loaded(tmp_path):
    expected = expected_of(make_images())
    off = Prediction(expected.scores + np.array([0, 0, 0.001, 0]), expected.maps)
    folder = make_artefact(tmp_path / "off", expected=off)
    with pytest.raises(ParityError, match=r"onnxruntime differ .* by up to 0\.001"):
        load_predictor(folder)
    report = check_parity(folder, "onnxruntime")
    assert not report.passed
    assert report.max_difference == pytest.approx(0.001, rel=1e-2)
    assert report.to_json()["engines"]["onnxruntime"]["passed"] is False


def test_a_difference_within_a_ten_thousandth_of_the_spread_passes(tmp_path):
    expected = expected_of(make_images())
    spread = np.ptp(expected.scores)
    near = Prediction(expected.scores + 0.9e-4 * spread, expected.maps)
    assert check_parity(make_artefact(tmp_path / "near", expected=near), "onnxruntime").passed
    far = Prediction(expected.scores + 1.1e-4 * spread, expected.maps)
    assert not check_parity(make_artefact(tmp_path / "far", expected=far), "onnxruntime").passed


def test_a_map_of_another_size_does_not_pass(tmp_path):
    expected = expected_of(make_images())
    other = Prediction(expected.scores, np.zeros((4, 3, 3), np.float32))
    assert not check_parity(make_artefact(tmp_path / "map", expected=other), "onnxruntime").passed


def test_an_onnx_file_that_is_none_is_told(tmp_path):
    with pytest.raises(ArtefactError, match=r"can't load model\.onnx"):
        load_predictor(make_artefact(tmp_path / "broken", network=b"not a network"))


def test_a_scoring_that_the_program_does_not_know_is_refused(tmp_path):
    folder = make_artefact(tmp_path / "later")
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"scoring": {"kind": "later"}}))
    with pytest.raises(ArtefactError, match="'later' is not one of"):
        load_predictor(folder)


def test_an_output_that_the_scoring_cannot_take_is_an_error_and_never_a_verdict(tmp_path):
    with pytest.raises(InferenceFailed, match="a number for each of two or more classes"):
        load_predictor(make_artefact(tmp_path / "classes", scoring=NotOk()))


def test_a_method_that_the_program_does_not_have_is_refused_by_torch(tmp_path):
    folder = make_artefact(tmp_path / "later", method="later")
    assert load_predictor(folder).card.method == "later"
    with pytest.raises(ArtefactError, match="'later'"):
        load_predictor(folder, "torch")


def test_an_engine_that_is_not_there_is_told_with_those_that_are(folder):
    assert set(available_engines()) >= {"onnxruntime", "torch"}
    with pytest.raises(EngineUnavailable, match="no engine 'tensorrt' here; there is onnxruntime"):
        load_predictor(folder, "tensorrt")
