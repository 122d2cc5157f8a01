"""Types of defects on the model page: started, followed while they are looked for, shown, labelled by."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from ml.forms import DiscoveryForm
from ml.models import Discovery, ModelVersion
from ml.selectors import discoveries as discovery_rows
from ml.services.discovery import METHODS, cancel_discovery, queue_discovery
from ml.tasks import ask_for_discovery

SHOWN = 10  # earlier ones that can be opened


@require_POST
@role_required(Role.QUALITY)
def discovery_new(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, pk=version_id)
    form = DiscoveryForm(request.POST, version=version)
    if not form.is_valid():
        for field, errors in form.errors.items():
            messages.error(request, f"{form.fields[field].label}: {' '.join(errors)}")
        return redirect(version)
    try:
        discovery = queue_discovery(version=version, author=request.user, **form.cleaned_data)
    except DomainError as error:
        messages.error(request, str(error))
        return redirect(version)
    ask_for_discovery(discovery)
    messages.success(request, _("Types are being looked for."))
    return redirect(discovery)


@require_POST
@role_required(Role.QUALITY)
def discovery_cancel(request: HttpRequest, discovery_id: int) -> HttpResponse:
    discovery = get_object_or_404(Discovery, pk=discovery_id)
    try:
        cancel_discovery(discovery=discovery, actor=request.user)
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Cancelled."))
    return redirect(discovery)


@require_GET
def discovery_state(request: HttpRequest, discovery_id: int) -> HttpResponse:
    """The partial that follows a discovery while it runs."""
    discovery = get_object_or_404(discovery_rows.discoveries_for_detail(), pk=discovery_id)
    return render(request, "ml/_discovery.html", _shown(request, discovery))


def discovery_context(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    """What the model page shows of types; empty for a model that finds none."""
    if version.method not in METHODS:
        return {}
    rows = list(discovery_rows.discoveries_of_version(version)[:SHOWN])
    asked = request.GET.get("discovery", "")
    chosen = next((row.pk for row in rows if str(row.pk) == asked), rows[0].pk if rows else None)
    whole = discovery_rows.discoveries_for_detail().filter(pk=chosen).first() if chosen else None
    return {
        "discovery_form": DiscoveryForm(version=version, initial={"dataset": version.dataset.slug}),
        "discoveries": rows,
        **(_shown(request, whole) if whole else {}),
    }


def _shown(request: HttpRequest, discovery: Discovery) -> dict[str, Any]:
    """What the partial needs: the points with their images' classes of today, to label by."""
    return {
        "discovery": discovery,
        "discovery_points": discovery_rows.points_as_labelled(discovery),
        "label_classes": discovery.dataset.classes.order_by("number"),
        "may_tune": request.user.is_at_least(Role.QUALITY),
    }
