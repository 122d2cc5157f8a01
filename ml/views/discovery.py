"""Types of defects on the model page: started, followed while they are looked for, shown."""

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
from ml.services.discovery import METHODS, queue_discovery
from ml.tasks import ask_for_discovery

SHOWN = 10  # earlier ones that can be opened


@require_POST
@role_required(Role.QUALITY)
def discovery_new(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, pk=version_id)
    form = DiscoveryForm(request.POST)
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


@require_GET
def discovery_state(request: HttpRequest, discovery_id: int) -> HttpResponse:
    """The partial that follows a discovery while it runs."""
    discovery = get_object_or_404(Discovery.objects.select_related("dataset"), pk=discovery_id)
    return render(request, "ml/_discovery.html", {"discovery": discovery})


def discovery_context(request: HttpRequest, version: ModelVersion) -> dict[str, Any]:
    """What the model page shows of types; empty for a model that finds none."""
    if version.method not in METHODS:
        return {}
    rows = list(discovery_rows.discoveries_of_version(version)[:SHOWN])
    asked = request.GET.get("discovery", "")
    chosen = next((row.pk for row in rows if str(row.pk) == asked), rows[0].pk if rows else None)
    whole = Discovery.objects.select_related("dataset").filter(pk=chosen).first() if chosen else None
    return {
        "discovery_form": DiscoveryForm(initial={"dataset": version.dataset.slug}),
        "discoveries": rows,
        "discovery": whole,
    }
