"""Scores from the worst patches."""

import json

import numpy as np
import pytest

from ml.scoring import UsualWorst, WorstOfSeveral, WorstPatches, read_scoring, scoring_entry


def test_the_score_is_the_logarithm_of_the_worst_over_the_median():
    raw = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9, 27, -5, -6]], np.float32)
    scored = WorstPatches(places=10, share=0.2)(raw)
    assert scored.scores == pytest.approx([np.log((27 + 9) / 2 / 5.5)])
    assert scored.descriptors.tolist() == [[-5, -6]]


def test_a_rougher_surface_is_no_defect():
    raw = np.random.default_rng(0).chisquare(9, (1, 200)).astype(np.float32)
    scoring = WorstPatches(places=200, share=0.01)
    assert scoring(3 * raw).scores == pytest.approx(scoring(raw).scores)


def test_one_patch_that_stands_out_is():
    raw = np.repeat(np.random.default_rng(0).chisquare(9, (1, 200)).astype(np.float32), 2, axis=0)
    raw[1, 77] = 200
    scores = WorstPatches(places=200, share=0.01)(raw).scores
    assert scores[1] > scores[0] + 1


@pytest.mark.parametrize("places", [1, 9])
def test_at_least_one_place_counts(places):
    assert WorstPatches(places, share=0.01)(np.ones((3, places))).scores.tolist() == [0, 0, 0]


def test_without_features_there_is_no_descriptor():
    assert WorstPatches(4, 0.5)(np.ones((1, 4))).descriptors is None


def test_an_image_exactly_like_the_ok_ones_has_a_finite_score():
    scores = WorstPatches(4, 0.5)(np.array([[0, 0, 0, 0], [0, 0, 0, 5]], np.float32)).scores
    assert scores[0] == 0
    assert np.isfinite(scores[1])


def test_too_few_distances_are_refused():
    with pytest.raises(ValueError, match="5 distances an image are expected"):
        WorstPatches(5, 0.1)(np.ones((1, 4)))


@pytest.mark.parametrize(("places", "share"), [(0, 0.1), (5, 0.0), (5, 1.1)])
def test_a_card_edited_by_hand_is_refused(places, share):
    with pytest.raises(ValueError, match="give no score"):
        WorstPatches.from_json({"places": places, "share": share})


def two_parts(**second) -> WorstOfSeveral:
    values = {"places": 3, "share": 0.5, "mean": 0.2, "deviation": 0.1}
    return WorstOfSeveral((UsualWorst(4, 0.25, 1.0, 0.5), UsualWorst(**(values | second))))


def test_the_comparison_that_stands_out_more_is_the_score():
    raw = np.array([[1, 1, 1, np.e**3, 1, 1, 1, 7], [1, 1, 1, 1, 1, 1, 4, 7]], np.float32)
    scored = two_parts()(raw)
    assert scored.scores == pytest.approx([(3 - 1) / 0.5, (np.log(5 / 2) - 0.2) / 0.1])
    assert scored.descriptors.tolist() == [[7], [7]]


def test_several_comparisons_come_back_from_their_card_as_they_were():
    scoring = two_parts()
    entry = json.loads(json.dumps(scoring_entry(scoring)))
    assert entry["kind"] == "worst_of_several"
    assert read_scoring(entry) == scoring


@pytest.mark.parametrize("edited", [{"deviation": 0.0}, {"share": 0}, {"places": 0}])
def test_an_edited_part_is_refused(edited):
    with pytest.raises(ValueError, match="gives no score"):
        two_parts(**edited)


def test_several_comparisons_need_one_and_their_distances():
    with pytest.raises(ValueError, match="no score"):
        WorstOfSeveral(())
    with pytest.raises(ValueError, match="7 distances an image are expected"):
        two_parts()(np.ones((1, 6)))
