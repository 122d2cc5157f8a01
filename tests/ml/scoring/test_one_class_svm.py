"""The one-class SVM's score against scikit-learn's own."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import OneClassSVM

from ml.methods.declarations import GradMobileNetParameters
from ml.methods.grad_mobilenet import fit_one_class
from ml.scoring import OneClassSvm, read_scoring, scoring_entry


def features(count: int, width: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, (count, width)) * rng.uniform(0.2, 3, width) + rng.normal(0, 9, width)).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def fitted() -> OneClassSvm:
    return fit_one_class(features(60), GradMobileNetParameters(nu=0.2, weighting="features"), seed=0)


def test_the_score_is_minus_scikit_learns_decision_function(fitted):
    ok = np.round(fitted.standardised(features(60)), 6)
    machine = OneClassSVM(kernel="rbf", gamma="scale", nu=0.2).fit(ok)
    seen = np.concatenate([features(60), features(40, seed=5) * 1.2])
    expected = -machine.decision_function(fitted.standardised(seen))
    np.testing.assert_allclose(fitted(seen).scores, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_about_as_many_ok_images_as_nu_says_are_outside(fitted):
    assert 0.1 <= np.mean(fitted(features(60)).scores > 0) <= 0.3


def test_far_away_the_score_ends_at_the_offset(fitted):
    far = features(3) + 1000
    assert fitted(far).scores.tolist() == [fitted.offset] * 3


def test_descriptors_are_the_standardised_features(fitted):
    described = fitted(features(60)).descriptors
    assert described.dtype == np.float32
    np.testing.assert_allclose(described.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(described.std(axis=0), 1, atol=1e-5)


def test_by_blocks_all_cells_together_weigh_as_much_as_the_mean_norm_and_as_the_landmark():
    fitted = fit_one_class(features(60), GradMobileNetParameters(weighting="blocks"), seed=0)
    squares = np.square(fitted(features(60)).descriptors).mean(axis=0)
    assert squares[:-2].sum() == pytest.approx(1, rel=1e-4)
    assert squares[-2:] == pytest.approx([1, 1], rel=1e-4)


def test_identical_ok_images_give_a_score_all_the_same():
    fitted = fit_one_class(np.repeat(features(1), 30, axis=0), GradMobileNetParameters(), seed=0)
    scores = fitted(np.concatenate([features(1), features(1) + 1])).scores
    assert np.isfinite(scores).all()
    assert scores[1] > scores[0]


@pytest.mark.parametrize("scale", ["relative", "log", "linear"])
def test_features_that_are_zero_for_every_ok_image_are_no_division_by_zero(scale):
    fitted = fit_one_class(np.zeros((30, 4), np.float32), GradMobileNetParameters(scale=scale), seed=0)
    scored = fitted(np.array([[0, 0, 0, 0], [1, 1, 1, 0.5]], np.float32))
    assert np.isfinite(scored.scores).all()
    assert np.isfinite(scored.descriptors).all()


def test_it_comes_back_from_its_card(fitted):
    assert read_scoring(json.loads(json.dumps(scoring_entry(fitted)))) == fitted


def test_features_of_another_number_are_refused(fitted):
    with pytest.raises(ValueError, match=r"12 features an image are expected, not \[2, 3\]"):
        fitted(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gamma": 0.0}, "gamma"),
        ({"deviation": (0.0,) * 12}, "deviation must be above 0"),
        ({"deviation": (1.0,) * 3}, "mean has 12 numbers and deviation 3"),
        ({"coefficients": (1.0,)}, "coefficients"),
        ({"support_vectors": ()}, "support vectors"),
        ({"offset": float("nan")}, "not finite"),
    ],
)
def test_numbers_that_make_no_machine_are_refused(fitted, changed, message):
    with pytest.raises(ValueError, match=message):
        replace(fitted, **changed)


@pytest.mark.parametrize("missing", ["mean", "gamma", "support_vectors"])
def test_a_card_without_one_of_its_numbers_is_refused(fitted, missing):
    stored = {name: value for name, value in scoring_entry(fitted).items() if name != missing}
    with pytest.raises(ValueError, match="can't be read"):
        read_scoring(stored)
