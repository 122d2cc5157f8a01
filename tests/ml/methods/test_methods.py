"""What holds for every method, over the registry."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ml.methods.contract import Method, TrainingSet
from ml.methods.declarations import (
    METHODS,
    GradMobileNetParameters,
    MaaParameters,
    MultipathVggParameters,
    TransferVggParameters,
    load_method,
)
from ml.preprocessing import ImageUnusable, Rectangle
from ml.serving.artefact import CARD_VERSION, verify_artefact
from ml.serving.parity import check_parity
from ml.serving.predictor import load_predictor
from tests.ml.methods.builders import bar_images, tiny, training_set

# Settings with which a method learns eight images in seconds.
QUICK = {
    "maa": MaaParameters(size=64, batch=4, iterations=15, precision="float32"),
    "grad_mobilenet": GradMobileNetParameters(weights="none", height=64, width=72, epochs=20),
    "weak": tiny(height=64, width=72, pairs=2, stage1_iterations=25, stage2_iterations=30),
    "multipath_vgg": MultipathVggParameters(
        weights="none", height=64, width=72, epochs=6, batch=8, hidden_units=128, copies=2, precision="float32"
    ),
    "transfer_vgg": TransferVggParameters(
        recipe="scratch", backbone="resnet18", weights="none", height=64, width=72, epochs=6, batch=8,
        rate=0.001, precision="float32",
    ),
}  # fmt: skip


@dataclass
class Fitted:
    name: str
    method: Method
    training: TrainingSet
    model: Any


@pytest.fixture(scope="module", params=METHODS)
def fitted(request) -> Fitted:
    """As many OK and NG images each as it needs, of odd size, with a region of interest for one view."""
    needs = METHODS[request.param].needs
    count = 4 * math.ceil(max(10, needs.ok, needs.ng) / 2)
    training = training_set(
        count,
        height=67,
        width=93,
        views=["top", "top", "side", "side"] * (count // 4),
        rois={"top": Rectangle(1, 1, 92, 66)},
    )
    method = load_method(request.param)
    return Fitted(request.param, method, training, method.fit(training, QUICK[request.param], seed=1))


def test_it_learns_the_images_it_was_given(fitted):
    scores = fitted.model.predict(fitted.training.images, fitted.training.views).scores
    assert roc_auc_score(fitted.training.is_ng, scores) > 0.95


def test_it_knows_images_that_it_has_not_seen(fitted):
    images, is_ng = bar_images(40, 67, 93, seed=9)
    scores = fitted.model.predict(images).scores
    assert roc_auc_score(is_ng, scores) > 0.8


def test_scores_and_maps_have_the_shapes_and_types_of_the_contract(fitted):
    prediction = fitted.model.predict(fitted.training.images[:3])
    assert (prediction.scores.shape, prediction.scores.dtype) == ((3,), np.float64)
    assert (prediction.maps.dtype, len(prediction.maps), prediction.maps.ndim) == (np.float32, 3, 3)
    assert np.isfinite(prediction.maps).all()
    assert fitted.model.explain(fitted.training.images[0]).shape == prediction.maps.shape[1:]


def test_a_score_is_the_same_alone_among_others_and_after_others(fitted):
    images = list(fitted.training.images)
    together = fitted.model.predict(images).scores
    alone = np.concatenate([fitted.model.predict([image]).scores for image in reversed(images)])[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5 * max(1.0, np.ptp(together)))


def test_colour_images_are_taken_like_grey_ones(fitted):
    grey = fitted.training.images[1]
    scores = fitted.model.predict([grey, np.dstack([grey] * 3)]).scores
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_an_image_smaller_than_its_views_roi_is_refused(fitted):
    small = np.zeros((40, 40), np.uint8)
    assert len(fitted.model.predict([small], ["side"]).scores) == 1
    with pytest.raises(ImageUnusable):
        fitted.model.predict([small], ["top"])


@pytest.fixture(scope="module")
def artefact(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts") / fitted.name
    images, views = fitted.training.images[:6], list(fitted.training.views[:6])
    fitted.model.export(folder, {"snapshot": "abc", "metrics": {"auroc": {"value": 1.0}}}, images, views)
    return folder


def test_an_artefact_has_four_files_and_a_card_that_tells_how_it_was_made(fitted, artefact):
    assert sorted(path.name for path in artefact.iterdir()) == [
        "card.json", "model.onnx", "parity.safetensors", "weights.safetensors"
    ]  # fmt: skip
    card = verify_artefact(artefact)
    assert (card.method, card.seed, card.classes) == (fitted.name, 1, ("OK", "NG"))
    assert METHODS[fitted.name].Parameters.model_validate(dict(card.parameters)) == QUICK[fitted.name]
    assert card.preprocessing == fitted.model.preprocessing
    assert card.preprocessing.rois == {"top": Rectangle(1, 1, 92, 66)}
    assert card.extra["snapshot"] == "abc"
    assert json.loads((artefact / "card.json").read_text())["card_version"] == CARD_VERSION


def test_every_engine_gives_the_scores_of_the_training(artefact):
    report = check_parity(artefact)
    assert report.passed
    assert {"torch", "onnxruntime"} <= report.engines.keys()
    assert report.max_difference <= 1e-4 * report.spread
    assert report.spread > 0
    assert all(one.max_map_difference < 1e-3 for one in report.engines.values())


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("count", [1, 5])
def test_what_was_saved_and_loaded_scores_the_same(fitted, artefact, engine, count):
    images, views = fitted.training.images[:count], fitted.training.views[:count]
    expected = fitted.model.predict(images, views)
    served = load_predictor(artefact, engine).predict(images, views)
    spread = max(1.0, np.ptp(fitted.model.predict(fitted.training.images).scores))
    np.testing.assert_allclose(served.scores, expected.scores, atol=1e-5 * spread)
    np.testing.assert_allclose(served.maps, expected.maps, rtol=1e-5, atol=1e-4)


def test_a_model_is_never_exported_over_another(fitted, artefact):
    with pytest.raises(FileExistsError):
        fitted.model.export(artefact, {}, fitted.training.images[:1])


def test_an_artefact_without_images_to_compare_on_is_refused(fitted, tmp_path):
    with pytest.raises(ValueError, match="at least one image"):
        fitted.model.export(tmp_path / "new", {}, [])


def test_weights_of_something_else_are_refused(fitted):
    with pytest.raises(ValueError):
        fitted.method.restore(QUICK[fitted.name], ("OK", "NG"), b"not weights")
