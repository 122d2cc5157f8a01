import math

import numpy as np
import pytest

from inspection.line.config import PartRule, PushSource, StationConfig
from inspection.line.frames import Frame, frame_from_bytes
from inspection.line.judge import Verdict, ViewScore, combine, judge_part, score_rank, verdict_of_score
from inspection.plc.registers import ErrorCode, ResultCode

from .factories import ShadeJudge, deployment, frame, picture, png

STATIONS = [StationConfig(name=name, source=PushSource()) for name in ("top", "side")]
OK, NG, REVIEW, ERROR = Verdict.OK, Verdict.NG, Verdict.REVIEW, Verdict.ERROR


class Scores:
    """A model that gives what it is told to."""

    def __init__(self, **scores):
        self.scores = scores

    def judge(self, frames):
        return {name: self.scores[name] for name in frames if name in self.scores}

    def close(self):
        pass


class Broken:
    def judge(self, frames):
        raise RuntimeError("out of memory")

    def close(self):
        pass


def judged(judge, frames=None, *, rule=PartRule.ANY, point=None):
    frames = {"top": frame(), "side": frame()} if frames is None else frames
    return judge_part(frames, stations=STATIONS, rule=rule, judge=judge, deployment=point or deployment())


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (0.59, REVIEW),
        (0.6, NG),
        (0.4, REVIEW),
        (0.39, OK),
        (-math.inf, ERROR),
        (math.inf, ERROR),
        (math.nan, ERROR),
    ],
)
def test_a_score_at_a_threshold_is_on_its_far_side_and_no_number_is_an_error(score, verdict):
    assert verdict_of_score(score, ng_at=0.6, review_from=0.4) is verdict


def test_without_a_review_threshold_there_is_no_review():
    assert verdict_of_score(0.59, ng_at=0.6, review_from=None) is OK


@pytest.mark.parametrize(
    ("verdicts", "by_any", "by_majority"),
    [
        ([OK, OK, OK], OK, OK),
        ([OK, OK, NG], NG, OK),
        ([OK, NG, NG], NG, NG),
        ([OK, NG], NG, OK),
        ([OK, OK, ERROR], ERROR, ERROR),
        ([NG, OK, ERROR], NG, ERROR),
        ([NG, NG, ERROR], NG, NG),
        ([OK, OK, REVIEW], REVIEW, OK),
        ([NG, REVIEW, OK], NG, REVIEW),
        ([REVIEW, ERROR], ERROR, ERROR),
        ([], ERROR, ERROR),
    ],
)
def test_views_make_a_part_by_the_lines_rule(verdicts, by_any, by_majority):
    assert combine(verdicts, PartRule.ANY) is by_any
    assert combine(verdicts, PartRule.MAJORITY) is by_majority


def test_a_parts_score_is_its_worst_views():
    part = judged(Scores(top=ViewScore(score=0.2), side=ViewScore(score=0.7, defect_class="crack")))
    assert (part.verdict, part.score, part.defect_class) == (NG, 0.7, "crack")


def test_the_ng_mask_has_each_stations_own_bit():
    part = judged(Scores(top=ViewScore(score=0.2), side=ViewScore(score=0.7)))
    assert part.ng_mask({"top": 0, "side": 1}) == 0b10
    assert part.ng_mask({"top": 0, "side": 5}) == 0b100000


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_an_error_and_never_an_ok(number):
    part = judged(Scores(top=ViewScore(score=0.1), side=ViewScore(score=number)))
    assert (part.verdict, part.error_code) == (ERROR, ErrorCode.INFERENCE_FAILED)
    assert part.score == 0.1


def test_a_score_that_is_missing_is_an_error():
    part = judged(Scores(top=ViewScore(score=0.1)))
    assert (part.verdict, part.error_code) == (ERROR, ErrorCode.INFERENCE_FAILED)


def test_a_model_that_raises_is_an_error_with_its_words():
    part = judged(Broken())
    assert (part.verdict, part.error_code) == (ERROR, ErrorCode.INFERENCE_FAILED)
    assert "out of memory" in part.error


def test_no_model_is_an_error():
    part = judge_part(
        {"top": frame(), "side": frame()}, stations=STATIONS, rule=PartRule.ANY, judge=None, deployment=None
    )
    assert (part.verdict, part.error_code) == (ERROR, ErrorCode.NO_MODEL)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (None, ErrorCode.CAMERA_TIMEOUT),
        (Frame(image=None, name="a", error="cut short"), ErrorCode.BAD_FRAME),
        (Frame(image=np.zeros((40, 40), np.uint8), name="a"), ErrorCode.BAD_FRAME),
        (Frame(image=np.full((40, 40, 3), 255, np.uint8), name="a"), ErrorCode.BAD_FRAME),
        (Frame(image=np.zeros((0, 40), np.uint8), name="a"), ErrorCode.BAD_FRAME),
        (Frame(image=picture().astype(np.float32), name="a"), ErrorCode.BAD_FRAME),
        (frame_from_bytes(b"", "a"), ErrorCode.BAD_FRAME),
        (frame_from_bytes(b"not an image", "a"), ErrorCode.BAD_FRAME),
        (frame_from_bytes(png(picture())[:-40], "a"), ErrorCode.BAD_FRAME),
    ],
    ids=["none", "bad", "black", "white", "no pixels", "float", "no bytes", "no image", "cut short"],
)
def test_a_view_without_a_good_frame_is_an_error_and_the_others_are_judged(bad, code):
    part = judged(ShadeJudge(), {"top": frame(), "side": bad})
    assert (part.verdict, part.error_code) == (ERROR, code)
    assert [view.verdict for view in part.views] == [OK, ERROR]


def test_an_ng_view_rejects_the_part_whatever_the_others_did():
    part = judged(ShadeJudge(), {"top": frame(230), "side": None})
    assert (part.verdict, part.error_code) == (NG, ErrorCode.NONE)
    assert part.ng_mask({"top": 0, "side": 1}) == 1


def test_a_nearly_blank_frame_with_one_speck_is_judged():
    image = np.zeros((400, 400), np.uint8)
    image[201, 203] = 255
    assert judged(ShadeJudge(), {"top": Frame(image=image, name="a"), "side": frame()}).verdict is OK


@pytest.mark.parametrize(
    ("score", "rank"),
    [(0.1, 0), (0.2, 0), (0.3, 2500), (0.6, 10_000), (9.0, 10_000), (math.nan, 0), (None, 0)],
)
def test_the_rank_says_where_a_score_stands_among_ok_scores(score, rank):
    assert score_rank(score, [0.2, 0.4, 0.6]) == rank


def test_a_rank_without_a_table_is_zero():
    assert score_rank(0.5, []) == 0


def test_every_verdict_has_its_plc_code():
    assert [verdict.result_code for verdict in Verdict] == [
        ResultCode.OK,
        ResultCode.NG,
        ResultCode.REVIEW,
        ResultCode.ERROR,
    ]
