from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from annotation.admin import ReadOnly, ReadOnlyAdmin
from inspection import selectors

from .models import Alarm, Deployment, Line, Part, Station, View


class StationInline(ReadOnly, admin.TabularInline):
    model = Station
    extra = 0


class ViewInline(ReadOnly, admin.TabularInline):
    model = View
    extra = 0
    fields = ["station", "verdict", "score", "error", "frame_name"]


@admin.register(Line)
class LineAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "trigger_mode", "plc_profile", "plc_host", "plc_port", "deadline_ms"]
    list_filter = ["plc_profile", "is_simulated"]
    search_fields = ["name"]
    inlines = [StationInline]


@admin.register(Station)
class StationAdmin(ReadOnlyAdmin):
    list_display = ["line", "name", "position", "source"]
    list_select_related = ["line"]


@admin.register(Deployment)
class DeploymentAdmin(ReadOnlyAdmin):
    list_display = ["id", "line", "operating_point", "state", "engine", "created_by", "created_at", "live_at"]
    list_filter = ["state", "line"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return selectors.deployments()


@admin.register(Part)
class PartAdmin(ReadOnlyAdmin):
    list_display = ["line", "sequence", "serial", "verdict", "score", "total_ms", "judged_at"]
    list_filter = ["line", "verdict"]
    list_select_related = ["line"]
    search_fields = ["=serial"]
    # Counting a million parts for every page costs more than the page.
    show_full_result_count = False
    inlines = [ViewInline]


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = ["line", "code", "message", "raised_at", "cleared_at", "acknowledged_by"]
    list_filter = ["line", "code"]
    list_select_related = ["line", "acknowledged_by"]
