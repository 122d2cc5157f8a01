"""From raw outputs to scores."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from ml.scoring import Identity, NotOk, Sigmoid, read_scoring, scoring_entry


def test_probabilities_keep_their_order_up_to_where_float64_ends():
    logits = np.array([-40, -1, 0, 1, 20, 30, 36], np.float32)
    probabilities = Sigmoid()(logits).scores
    assert (np.diff(probabilities) > 0).all()
    assert probabilities[2] == 0.5
    assert Sigmoid()(np.array([-1000.0, 1000.0])).scores.tolist() == [0.0, 1.0]


def test_the_score_of_a_classifier_is_one_less_the_probability_of_ok():
    logits = np.random.default_rng(0).normal(0, 3, (20, 6)).astype(np.float32)
    scored = NotOk()(logits)
    expected = log_softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(scored.scores, np.exp(logsumexp(expected[:, 1:], axis=1)), rtol=1e-12)
    np.testing.assert_allclose(scored.probabilities, np.exp(expected), rtol=1e-6)
    assert scored.probabilities.dtype == np.float32


def test_a_certain_ok_keeps_its_order():
    scores = NotOk()(np.array([[50, 0], [60, 0], [500, 0]], np.float32)).scores
    assert (np.diff(scores) < 0).all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("scoring", [Sigmoid(), Identity()], ids=lambda one: one.kind)
def test_several_numbers_an_image_are_no_score(scoring):
    with pytest.raises(ValueError, match=r"one number an image is expected, not \[3, 2\]"):
        scoring(np.zeros((3, 2), np.float32))


def test_one_number_an_image_is_no_classification():
    with pytest.raises(ValueError, match="each of two or more classes"):
        NotOk()(np.zeros((3, 1), np.float32))


@pytest.mark.parametrize("scoring", [Sigmoid(), Identity(), NotOk()], ids=lambda one: one.kind)
def test_a_scoring_comes_back_from_its_card(scoring):
    assert read_scoring(json.loads(json.dumps(scoring_entry(scoring)))) == scoring


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (None, "None is not one of sigmoid"),
        ({"kind": "later"}, "'later' is not one of sigmoid"),
        ({"kind": "sigmoid", "slope": 2}, "takes no slope"),
    ],
)
def test_an_entry_edited_by_hand_is_refused(stored, message):
    with pytest.raises(ValueError, match=message):
        read_scoring(stored)
