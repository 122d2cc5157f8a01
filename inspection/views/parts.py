from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from inspection import events, selectors
from inspection.forms import DispositionForm, PartSearchForm
from inspection.models import Part
from inspection.plc.registers import ERROR_MEANINGS, ErrorCode
from inspection.services import dispositions

PAGE_SIZE = 50


def list_parts(request: HttpRequest) -> HttpResponse:
    """Newest first; `before` is the last part of the page above: a page's cost does not grow with depth."""
    form = PartSearchForm(request.GET)
    found = selectors.parts()
    if form.is_valid():
        found = form.matching(found)
    if (before := request.GET.get("before", "")).isdecimal():
        found = found.filter(pk__lt=int(before))
    rows = list(found[: PAGE_SIZE + 1])
    more = request.GET.copy()
    more["before"] = str(rows[PAGE_SIZE - 1].pk) if len(rows) > PAGE_SIZE else ""
    context = {
        "form": form,
        "parts": rows[:PAGE_SIZE],
        "older": more.urlencode() if more["before"] else "",
        "is_filtered": any(request.GET.values()),
    }
    template = "inspection/_parts_table.html" if request.htmx else "inspection/parts.html"
    return render(request, template, context)


def show_part(request: HttpRequest, slug: str, sequence: int) -> HttpResponse:
    part = get_object_or_404(selectors.part_with_history(slug, sequence))
    return render(request, "inspection/part.html", _part_context(part, DispositionForm(part=part)))


@require_POST
@role_required(Role.OPERATOR)
def dispose_part(request: HttpRequest, slug: str, sequence: int) -> HttpResponse:
    part = get_object_or_404(selectors.part_with_history(slug, sequence))
    form = DispositionForm(request.POST, part=part)
    if form.is_valid():
        try:
            dispositions.dispose_part(part=part, by=request.user, **form.cleaned_data)
        except DomainError as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("Your word on part %(sequence)d is kept.") % {"sequence": sequence})
            return redirect(part)
    return render(request, "inspection/part.html", _part_context(part, form), status=422)


def _part_context(part: Part, form: DispositionForm) -> dict[str, Any]:
    before, after = selectors.neighbours(part)
    said = list(part.dispositions.all())
    return {
        "part": part,
        "views": part.views.all(),
        "state": events.PartJudged.of(part, part.views.all()).to_json(),
        "before": before,
        "after": after,
        "form": form,
        "dispositions": said,
        "last_word": said[-1] if said else None,
        "error_meaning": _meaning(part.error_code),
        "durations": part.durations_ms,
    }


def _meaning(code: int) -> str:
    try:
        return ERROR_MEANINGS[ErrorCode(code)] if code else ""
    except ValueError:
        return ""
