from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST

from annotation.choices import Role
from annotation.permissions import role_required
from inspection import events, selectors
from inspection.bus import liveness
from inspection.choices import PartOrigin
from inspection.models import Line
from inspection.services import alarms, deployments
from inspection.services.deadlines import deadline_warning

HISTORY = 10


def show_line(request: HttpRequest, slug: str) -> HttpResponse:
    line = get_object_or_404(selectors.lines(), slug=slug)
    parts = selectors.latest_parts(line)
    summary = selectors.line_summary(line)
    status = liveness.line_status(line.slug)
    context = {
        "line": line,
        "time_zone": timezone.get_current_timezone_name(),
        "latest": next((part for part in parts if part.origin == PartOrigin.LINE), None),
        "summary": summary,
        "status": status,
        "is_synthetic": selectors.is_synthetic(line),
        "start_command": deployments.how_to_start(line),
        "state": {
            "line": line.slug,
            "parts": [events.PartJudged.of(part, part.views.all()).to_json() for part in parts],
            "summary": summary.to_dict(),
            "status": status.to_dict() if status else None,
        },
        **_panel(request, line),
    }
    return render(request, "inspection/live.html", context)


def show_panel(request: HttpRequest, slug: str) -> HttpResponse:
    """Deployments and alarms, again, after something of them changed."""
    line = get_object_or_404(selectors.lines(), slug=slug)
    return render(request, "inspection/_line_panel.html", {"line": line, **_panel(request, line)})


@require_POST
@role_required(Role.OPERATOR)
def acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    alarm = get_object_or_404(selectors.alarms(), pk=pk)
    alarms.acknowledge_alarm(alarm=alarm, by=request.user)
    if request.htmx:
        return show_panel(request, alarm.line.slug)
    return redirect(alarm.line)


def _panel(request: HttpRequest, line: Line) -> dict[str, Any]:
    live = selectors.live_deployment(line)
    return {
        "live": live,
        "pending": selectors.pending_deployment(line),
        "history": selectors.deployments().filter(line=line)[:HISTORY],
        "alarms": selectors.raised_alarms(line),
        "deadline_warning": deadline_warning(line, live.operating_point.model_version if live else None),
        "may_deploy": request.user.is_at_least(Role.ENGINEER),
        "is_running": liveness.line_status(line.slug) is not None,
        "start_command": deployments.how_to_start(line),
    }
