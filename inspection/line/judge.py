"""From frames to a verdict: the one place where it is decided, and where unsure means ERROR."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inspection.line.config import DeploymentConfig, PartRule, StationConfig
from inspection.line.frames import Frame, is_blank
from inspection.plc.registers import SCORE_MAX, ErrorCode, ResultCode

logger = logging.getLogger(__name__)


class Verdict(StrEnum):
    """The line's word on a view or a part."""

    OK = "OK"
    NG = "NG"
    REVIEW = "REVIEW"
    ERROR = "ERROR"

    @property
    def result_code(self) -> ResultCode:
        """The same as the PLC reads it."""
        return ResultCode[self.name]


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewScore:
    """What a model says of one view; equal only to itself.

    Attributes:
        score: higher is more anomalous; any number, NaN where the model gave none.
        map: float32 [h, w] at the method's own resolution, or None where the method has none.
        defect_class: the class the model names, or None.
        box: (top, left, height, width) of the original frame that the map covers, or None for all of it.
        closest_ok: number of the OK training image that the view looks most like, where the model tells.
    """

    score: float
    map: NDArray[np.float32] | None = None
    defect_class: str | None = None
    box: tuple[int, int, int, int] | None = None
    closest_ok: int | None = None


class Judge(Protocol):
    """A loaded, warm model. Used by one thread at a time."""

    def judge(self, frames: Mapping[str, Frame]) -> Mapping[str, ViewScore]:
        """The score of each view; `frames` has an image for every station it names."""
        ...

    def close(self) -> None:
        """Frees the model; called once, after its last part."""
        ...


LoadJudge = Callable[[DeploymentConfig], Judge]
"""Loads a model and checks its parity; raises any exception where it must not be used."""


@dataclass(frozen=True, kw_only=True)
class ViewVerdict:
    """One view, judged. `frame` is None where none came in time."""

    station: str
    verdict: Verdict
    frame: Frame | None
    error_code: ErrorCode = ErrorCode.NONE
    error: str = ""
    score: ViewScore | None = None


@dataclass(frozen=True, kw_only=True)
class PartVerdict:
    """A part, judged: its views in the order of the line's stations."""

    verdict: Verdict
    error_code: ErrorCode
    error: str
    views: tuple[ViewVerdict, ...]

    @property
    def score(self) -> float | None:
        """The worst view's score; None where no view has one."""
        scores = [view.score.score for view in self.views if view.score is not None]
        return max(scores) if scores else None

    @property
    def defect_class(self) -> str | None:
        """The class of the worst view that is not OK."""
        named = [
            (view.score.score, view.score.defect_class)
            for view in self.views
            if view.score is not None and view.score.defect_class and view.verdict is not Verdict.OK
        ]
        return max(named)[1] if named else None

    def ng_mask(self, bits: Mapping[str, int]) -> int:
        """Bit mask of the views that were NG; `bits` has each station's bit."""
        return sum(1 << bits[view.station] for view in self.views if view.verdict is Verdict.NG)


def verdict_of_score(score: float, *, ng_at: float, review_from: float | None) -> Verdict:
    """The verdict of one score; a score that is not a finite number is ERROR."""
    if not math.isfinite(score):
        return Verdict.ERROR
    if score >= ng_at:
        return Verdict.NG
    if review_from is not None and score >= review_from:
        return Verdict.REVIEW
    return Verdict.OK


def combine(verdicts: list[Verdict], rule: PartRule) -> Verdict:
    """The part's verdict from its views'.

    `any`: NG if any view is NG, else ERROR, REVIEW, OK likewise. `majority`: NG if more than half of all
    views are NG; a view without a verdict could have turned it, so else any ERROR is ERROR; REVIEW if NG and
    REVIEW together are more than half. No views at all is ERROR.
    """
    count = {verdict: verdicts.count(verdict) for verdict in Verdict}
    if not verdicts:
        return Verdict.ERROR
    if rule is PartRule.ANY:
        ranked = (Verdict.NG, Verdict.ERROR, Verdict.REVIEW)
        return next((verdict for verdict in ranked if count[verdict]), Verdict.OK)
    if 2 * count[Verdict.NG] > len(verdicts):
        return Verdict.NG
    if count[Verdict.ERROR]:
        return Verdict.ERROR
    if 2 * (count[Verdict.NG] + count[Verdict.REVIEW]) > len(verdicts):
        return Verdict.REVIEW
    return Verdict.OK


def score_rank(score: float | None, ok_scores: list[float]) -> int:
    """0 to 10000: where a score stands among the OK training scores; 0 where there is nothing to rank."""
    if score is None or not math.isfinite(score) or not ok_scores:
        return 0
    if len(ok_scores) == 1:
        return SCORE_MAX if score > ok_scores[0] else 0
    return round(float(np.interp(score, ok_scores, np.linspace(0, SCORE_MAX, len(ok_scores)))))


def part_error(code: ErrorCode, error: str, stations: list[StationConfig]) -> PartVerdict:
    """A part that was never judged, all of its views ERROR for one reason."""
    views = tuple(
        ViewVerdict(station=station.name, verdict=Verdict.ERROR, frame=None, error_code=code, error=error)
        for station in stations
    )
    return PartVerdict(verdict=Verdict.ERROR, error_code=code, error=error, views=views)


def judge_part(
    frames: Mapping[str, Frame | None],
    *,
    stations: list[StationConfig],
    rule: PartRule,
    judge: Judge | None,
    deployment: DeploymentConfig | None,
) -> PartVerdict:
    """Judges one part. Whatever goes wrong inside comes out as ERROR with its code.

    Args:
        frames: a frame for each station, None or absent where none came in time.
        stations: the line's stations.
        rule: how the views make the part.
        judge: the live model, None where there is none.
        deployment: its thresholds.
    """
    faults = {station.name: _frame_fault(frames.get(station.name), station) for station in stations}
    good = {name: frame for name, frame in frames.items() if frame is not None and not faults.get(name)}
    scores: Mapping[str, ViewScore] = {}
    failure: tuple[ErrorCode, str] = (ErrorCode.NONE, "")
    if judge is None or deployment is None:
        failure = (ErrorCode.NO_MODEL, "no model is loaded")
    elif good:
        scores, failure = _scores(judge, good)
    views = tuple(
        _view_verdict(
            station.name, frames.get(station.name), faults[station.name] or failure, scores, deployment
        )
        for station in stations
    )
    verdict = combine([view.verdict for view in views], rule)
    cause = next((view for view in views if view.error_code), None) if verdict is Verdict.ERROR else None
    return PartVerdict(
        verdict=verdict,
        error_code=cause.error_code if cause else ErrorCode.NONE,
        error=cause.error if cause else "",
        views=views,
    )


def _frame_fault(frame: Frame | None, station: StationConfig) -> tuple[ErrorCode, str] | None:
    if frame is None:
        return ErrorCode.CAMERA_TIMEOUT, "no frame came in time"
    if frame.image is None or frame.error:
        return ErrorCode.BAD_FRAME, frame.error or "the frame has no image"
    if frame.image.dtype != np.uint8 or frame.image.size == 0 or frame.image.ndim not in (2, 3):
        return ErrorCode.BAD_FRAME, f"not an 8-bit image: {frame.image.dtype} {frame.image.shape}"
    if is_blank(frame.image, station.blank_range):
        return ErrorCode.BAD_FRAME, "the frame is blank"
    return None


def _scores(
    judge: Judge, frames: Mapping[str, Frame]
) -> tuple[Mapping[str, ViewScore], tuple[ErrorCode, str]]:
    try:
        return judge.judge(frames), (ErrorCode.NONE, "")
    except Exception as error:
        logger.exception("the model failed")
        return {}, (ErrorCode.INFERENCE_FAILED, f"{type(error).__name__}: {error}")


def _view_verdict(
    station: str,
    frame: Frame | None,
    fault: tuple[ErrorCode, str],
    scores: Mapping[str, ViewScore],
    deployment: DeploymentConfig | None,
) -> ViewVerdict:
    code, error = fault
    score = scores.get(station)
    if not code and score is None:
        code, error = ErrorCode.INFERENCE_FAILED, "the model gave no score"
    if not code and score is not None and not math.isfinite(score.score):
        code, error, score = ErrorCode.INFERENCE_FAILED, "the model's score is not a number", None
    if code or score is None or deployment is None:
        return ViewVerdict(
            station=station,
            verdict=Verdict.ERROR,
            frame=frame,
            error_code=code or ErrorCode.INTERNAL,
            error=error,
        )
    verdict = verdict_of_score(score.score, ng_at=deployment.ng_at, review_from=deployment.review_from)
    return ViewVerdict(station=station, verdict=verdict, frame=frame, score=score)
