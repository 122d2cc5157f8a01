"""What the pages are told as it happens: small, typed, past tense; images and maps are URLs."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.urls import reverse

from inspection.bus.liveness import LineStatus
from inspection.models import Alarm, Deployment, Part, View

logger = logging.getLogger(__name__)

EVERY_LINE = "lines"
DEPLOYMENT_RELATED = ("line", "operating_point__model_version__dataset", "created_by")


def group(slug: str) -> str:
    return f"line.{slug}"


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of the events; `line` is the line's slug."""

    type: ClassVar[str]
    line: str

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class JudgedView:
    """One view of a judged part. URLs are empty where nothing was kept."""

    station: str
    verdict: str
    score: float | None
    error_code: int
    error: str
    defect_class: str
    frame_name: str
    frame_url: str
    map_url: str
    map_max: float
    map_box: list[int]
    closest_ok_url: str

    @classmethod
    def of(cls, view: View, part: Part) -> Self:
        place = [part.line.slug, part.sequence, view.station.name]
        return cls(
            station=view.station.name,
            verdict=view.verdict,
            score=view.score,
            error_code=view.error_code,
            error=view.error,
            defect_class=view.defect_class,
            frame_name=view.frame_name,
            frame_url=reverse("part_frame", args=place) if view.image_id or view.frame_path else "",
            map_url=reverse("part_map", args=place) if view.map_path else "",
            map_max=view.map_max,
            map_box=view.map_box,
            closest_ok_url=reverse("image_file", args=[view.closest_ok_id]) if view.closest_ok_id else "",
        )


@dataclass(frozen=True, kw_only=True)
class PartJudged(Event):
    """A part was judged and stored. `sequence` is the line's: a gap means that parts were missed."""

    type: ClassVar[str] = "part_judged"
    sequence: int
    trigger_sequence: int | None
    origin: str
    serial: str
    lot: str
    verdict: str
    judged_verdict: str
    given: str
    error_code: int
    error: str
    score: float | None
    ng_at: float | None
    review_from: float | None
    defect_class: str
    deployment: int | None
    model_version: int | None
    captured_at: str
    judged_at: str
    total_ms: float
    judge_ms: float
    url: str
    views: list[JudgedView]

    @classmethod
    def of(cls, part: Part, views: Sequence[View]) -> Self:
        """Of a part with its line, deployment and operating point, and its views with their stations."""
        deployment = part.deployment
        return cls(
            line=part.line.slug,
            sequence=part.sequence,
            trigger_sequence=part.trigger_sequence,
            origin=part.origin,
            serial=part.serial,
            lot=part.lot,
            verdict=part.verdict,
            judged_verdict=part.judged_verdict,
            given=part.given,
            error_code=part.error_code,
            error=part.error,
            score=part.score,
            ng_at=part.ng_at,
            review_from=part.review_from,
            defect_class=part.defect_class,
            deployment=part.deployment_id,
            model_version=deployment.operating_point.model_version_id if deployment else None,
            captured_at=part.captured_at.isoformat(),
            judged_at=part.judged_at.isoformat(),
            total_ms=part.total_ms,
            judge_ms=part.judge_ms,
            url=part.get_absolute_url(),
            views=[JudgedView.of(view, part) for view in views],
        )


@dataclass(frozen=True, kw_only=True)
class PlcChanged(Event):
    """The connection to the PLC, its heartbeat or its counts changed."""

    type: ClassVar[str] = "plc_changed"
    plc: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class LineChanged(Event):
    """A line's process started, stopped, or says something new of itself."""

    type: ClassVar[str] = "line_changed"
    is_running: bool
    status: dict[str, Any] | None

    @classmethod
    def of(cls, slug: str, status: LineStatus | None) -> Self:
        return cls(line=slug, is_running=status is not None, status=status.to_dict() if status else None)


@dataclass(frozen=True, kw_only=True)
class DeploymentChanged(Event):
    """A deployment was made, went live, failed, or was superseded."""

    type: ClassVar[str] = "deployment_changed"
    id: int
    state: str
    error: str
    model_version: int
    ng_at: float
    review_from: float | None

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        point = deployment.operating_point
        return cls(
            line=deployment.line.slug,
            id=deployment.pk,
            state=deployment.state,
            error=deployment.error,
            model_version=point.model_version_id,
            ng_at=point.ng_at,
            review_from=point.review_from,
        )


@dataclass(frozen=True, kw_only=True)
class AlarmRaised(Event):
    """Something is wrong on the line."""

    type: ClassVar[str] = "alarm_raised"
    id: int
    code: str
    message: str
    raised_at: str

    @classmethod
    def of(cls, alarm: Alarm) -> Self:
        return cls(
            line=alarm.line.slug,
            id=alarm.pk,
            code=alarm.code,
            message=alarm.message,
            raised_at=alarm.raised_at.isoformat(),
        )


@dataclass(frozen=True, kw_only=True)
class AlarmCleared(Event):
    """What was wrong is over."""

    type: ClassVar[str] = "alarm_cleared"
    id: int
    code: str


async def publish_async(event: Event) -> None:
    """Tells the pages of the line, and the overview.

    Raises:
        redis.RedisError: Redis is away.
    """
    layer = get_channel_layer()
    message = {"type": "line.event", "event": event.to_json()}
    await asyncio.gather(layer.group_send(group(event.line), message), layer.group_send(EVERY_LINE, message))


def publish(event: Event) -> None:
    """Tells the pages; where Redis is away they hear nothing, and ask anew once they are connected again."""
    try:
        async_to_sync(publish_async)(event)
    except (redis.RedisError, OSError):
        logger.warning("no live event for %s: Redis is away", event.type)
