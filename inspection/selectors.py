"""Reads: query sets with their joins decided here."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery, Sum
from django.utils import timezone

from annotation.models import Dataset
from inspection.bus import liveness
from inspection.bus.liveness import LineStatus
from inspection.choices import DeploymentState, PartOrigin, SourceKind
from inspection.models import Alarm, Deployment, Disposition, Line, Part, Tally, View
from ml.models import ModelVersion

LATENCIES = 200
LATEST_PARTS = 50


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Parts by verdict."""

    ok: int = 0
    ng: int = 0
    review: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.ng + self.review + self.error

    @property
    def yield_share(self) -> float | None:
        """OK parts of all parts; None where there were none."""
        return self.ok / self.total if self.total else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "ng": self.ng,
            "review": self.review,
            "error": self.error,
            "yield_share": self.yield_share,
        }


@dataclass(frozen=True, kw_only=True)
class LineSummary:
    """A line's figures: today's counts in the plant's zone, the last hour's, its pace and its latency."""

    today: Counts
    hour: Counts
    parts_per_minute: int
    latencies_ms: list[float]

    def to_dict(self) -> dict[str, Any]:
        return {
            "today": self.today.to_dict(),
            "hour": self.hour.to_dict(),
            "parts_per_minute": self.parts_per_minute,
            "latencies_ms": [round(value, 1) for value in self.latencies_ms],
        }

    @property
    def last_ms(self) -> float | None:
        return self.latencies_ms[-1] if self.latencies_ms else None

    @property
    def p50_ms(self) -> float | None:
        return float(np.percentile(self.latencies_ms, 50)) if self.latencies_ms else None

    @property
    def p95_ms(self) -> float | None:
        return float(np.percentile(self.latencies_ms, 95)) if self.latencies_ms else None


@dataclass(frozen=True, kw_only=True)
class LineCard:
    """What the overview shows of a line."""

    line: Line
    status: LineStatus | None
    last_part: Part | None
    deployment: Deployment | None
    pending: Deployment | None
    alarms: list[Alarm] = field(default_factory=list)
    hour: Counts = Counts()
    parts_per_minute: int = 0


_POINT = "operating_point__model_version__dataset"
_COUNTED = {name: Sum(name) for name in ("ok", "ng", "review", "error")}


def lines() -> QuerySet[Line]:
    """Lines with their stations."""
    return Line.objects.prefetch_related("stations")


def lines_with_live_point() -> QuerySet[Line]:
    """Lines, each with `live_point`: the id of the operating point in force, or None."""
    live = Deployment.objects.filter(line=OuterRef("pk"), state=DeploymentState.LIVE)
    return Line.objects.annotate(live_point=Subquery(live.values("operating_point")[:1]))


def start_of_today() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def counts(line: Line, *, since: datetime) -> Counts:
    """Parts of a line by verdict, to the minute."""
    sums = line.tallies.filter(minute__gte=since.replace(second=0, microsecond=0)).aggregate(**_COUNTED)
    return Counts(**{name: value or 0 for name, value in sums.items()})


def line_summary(line: Line) -> LineSummary:
    now = timezone.now()
    latest = _produced().filter(line=line).order_by("-sequence")
    return LineSummary(
        today=counts(line, since=start_of_today()),
        hour=counts(line, since=now - timedelta(hours=1)),
        parts_per_minute=_produced().filter(line=line, judged_at__gt=now - timedelta(minutes=1)).count(),
        latencies_ms=list(latest.values_list("total_ms", flat=True)[:LATENCIES])[::-1],
    )


def line_cards() -> list[LineCard]:
    """Every line as the overview shows it; the number of queries does not grow with the lines."""
    newest = _produced().filter(line=OuterRef("pk")).order_by("-sequence").values("pk")[:1]
    current = Deployment.objects.filter(state__in=[DeploymentState.LIVE, DeploymentState.PENDING])
    found = list(
        lines()
        .annotate(newest_part=Subquery(newest))
        .prefetch_related(
            Prefetch("deployments", current.select_related(_POINT), to_attr="current_deployments"),
            Prefetch("alarms", Alarm.objects.filter(cleared_at=None), to_attr="raised_alarms"),
        )
    )
    statuses = liveness.line_statuses(line.slug for line in found)
    newest_parts = Part.objects.in_bulk([line.newest_part for line in found if line.newest_part])
    now = timezone.now()
    hours = _counts_by_line(since=now - timedelta(hours=1))
    paces = dict(
        _produced()
        .filter(judged_at__gt=now - timedelta(minutes=1))
        .order_by()
        .values_list("line")
        .annotate(parts=Count("pk"))
    )
    return [
        LineCard(
            line=line,
            status=statuses[line.slug],
            last_part=newest_parts.get(line.newest_part),
            deployment=_in_state(line.current_deployments, DeploymentState.LIVE),
            pending=_in_state(line.current_deployments, DeploymentState.PENDING),
            alarms=line.raised_alarms,
            hour=hours.get(line.pk, Counts()),
            parts_per_minute=paces.get(line.pk, 0),
        )
        for line in found
    ]


def _produced() -> QuerySet[Part]:
    """The lines' own parts, without bench inspections."""
    return Part.objects.filter(origin=PartOrigin.LINE)


def _counts_by_line(*, since: datetime) -> dict[int, Counts]:
    rows = Tally.objects.filter(minute__gte=since.replace(second=0)).order_by().values("line")
    return {row.pop("line"): Counts(**row) for row in rows.annotate(**_COUNTED)}


def _in_state(deployments: list[Deployment], state: str) -> Deployment | None:
    return next((deployment for deployment in deployments if deployment.state == state), None)


def live_deployment(line: Line) -> Deployment | None:
    return deployments().filter(line=line, state=DeploymentState.LIVE).first()


def pending_deployment(line: Line) -> Deployment | None:
    return deployments().filter(line=line, state=DeploymentState.PENDING).first()


def deployments() -> QuerySet[Deployment]:
    """Deployments, newest first, with all that their text names."""
    return Deployment.objects.select_related("line", _POINT, "created_by")


def parts() -> QuerySet[Part]:
    """Parts, newest first, with what a list shows of each."""
    return Part.objects.select_related("line", "deployment__operating_point").order_by("-id")


def parts_with_views() -> QuerySet[Part]:
    """Parts with their views and the views' stations."""
    return parts().prefetch_related(Prefetch("views", View.objects.select_related("station")))


def latest_parts(line: Line, *, number: int = LATEST_PARTS) -> list[Part]:
    return list(parts_with_views().filter(line=line).order_by("-sequence")[:number])


def part_with_history(line_slug: str, sequence: int) -> QuerySet[Part]:
    """One part with everything that its page follows: model, job, snapshot, dispositions."""
    return (
        parts_with_views()
        .select_related(
            "deployment__created_by",
            "deployment__operating_point__author",
            "deployment__operating_point__model_version__dataset",
            "deployment__operating_point__model_version__job__snapshot",
        )
        .prefetch_related(
            Prefetch("dispositions", Disposition.objects.select_related("author", "label_class"))
        )
        .filter(line__slug=line_slug, sequence=sequence)
    )


def neighbours(part: Part) -> tuple[int | None, int | None]:
    """The sequences of the parts before and after."""
    same = Part.objects.filter(line_id=part.line_id)
    before = same.filter(sequence__lt=part.sequence).order_by("-sequence").values_list("sequence", flat=True)
    after = same.filter(sequence__gt=part.sequence).order_by("sequence").values_list("sequence", flat=True)
    return before.first(), after.first()


def alarms() -> QuerySet[Alarm]:
    return Alarm.objects.select_related("line", "acknowledged_by")


def raised_alarms(line: Line) -> QuerySet[Alarm]:
    return alarms().filter(line=line, cleared_at=None)


def is_synthetic(line: Line) -> bool:
    """True where any station replays images that a generator made."""
    slugs = [
        station.source_settings.get("dataset")
        for station in line.stations.all()
        if station.source == SourceKind.REPLAY
    ]
    return Dataset.objects.filter(slug__in=slugs, is_synthetic=True).exists()


@dataclass(frozen=True, kw_only=True)
class SetupProgress:
    """How far a new installation has come."""

    has_images: bool
    has_model: bool
    has_line: bool
    has_deployment: bool

    @property
    def is_complete(self) -> bool:
        return self.has_images and self.has_model and self.has_line and self.has_deployment


def setup_progress() -> SetupProgress:
    return SetupProgress(
        has_images=Dataset.objects.filter(images__isnull=False).exists(),
        has_model=ModelVersion.objects.exists(),
        has_line=Line.objects.exists(),
        has_deployment=Deployment.objects.exists(),
    )
