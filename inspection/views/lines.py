from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from inspection import selectors
from inspection.bus import liveness
from inspection.forms import LineForm, StationFormSet
from inspection.models import Line
from inspection.plc.registers import error_rows, register_rows
from inspection.services.deadlines import deadline_warning
from inspection.services.deployments import how_to_start
from inspection.services.line_settings import save_line
from inspection.services.lines import settings_revision


def list_lines(request: HttpRequest) -> HttpResponse:
    return render(
        request,
        "inspection/lines.html",
        {"cards": selectors.line_cards(), "may_change": request.user.is_at_least(Role.ENGINEER)},
    )


@role_required(Role.ENGINEER)
def make_line(request: HttpRequest) -> HttpResponse:
    return _line_form(request, Line())


@role_required(Role.ENGINEER)
def edit_line(request: HttpRequest, slug: str) -> HttpResponse:
    return _line_form(request, get_object_or_404(Line, slug=slug))


def _line_form(request: HttpRequest, line: Line) -> HttpResponse:
    is_new = line.pk is None
    form = LineForm(request.POST or None, instance=line)
    stations = StationFormSet(request.POST or None, instance=line, prefix="stations")
    if request.method == "POST" and form.is_valid() and stations.is_valid():
        try:
            saved = save_line(
                save=lambda: _save(form, stations),
                by=request.user,
                changes=_changes(form, stations),
                is_new=is_new,
            )
        except DomainError as refused:
            form.add_error(None, str(refused))
            if is_new:
                line.pk = None
        else:
            _tell(request, saved)
            return redirect(saved)
    context = {
        "form": form,
        "stations": stations,
        "line": line,
        "is_new": is_new,
        "registers": register_rows(),
        "errors": error_rows(),
    }
    return render(
        request, "inspection/line_form.html", context, status=422 if request.method == "POST" else 200
    )


def _save(form: LineForm, stations: StationFormSet) -> Line:
    line = form.save()
    stations.instance = line
    stations.save()
    return line


def _changes(form: LineForm, stations: StationFormSet) -> dict:
    changed = {name: str(form.cleaned_data[name]) for name in form.changed_data}
    return changed | {
        f"station {station.cleaned_data.get('name', '')}": station.changed_data
        for station in stations
        if station.has_changed()
    }


def _tell(request: HttpRequest, line: Line) -> None:
    status = liveness.line_status(line.slug)
    if status is not None and status.revision == settings_revision(line):
        messages.success(request, _("Saved. The line goes on as it was: this concerns no part."))
    elif status is not None:
        messages.success(
            request,
            _(
                "Saved. Within seconds the line stops between two parts and starts with its new settings; "
                "until its model is loaded it is not ready."
            ),
        )
    else:
        messages.success(
            request, _("Saved. Start the line with: %(command)s") % {"command": how_to_start(line)}
        )
    live = selectors.live_deployment(line)
    if live and (warning := deadline_warning(line, live.operating_point.model_version)):
        messages.warning(request, warning)
