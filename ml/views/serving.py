"""The part of a model's page that tells how quick it is on this machine."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotation.choices import Role
from annotation.permissions import role_required
from ml.models import ModelVersion
from ml.selectors.serving import serving_section
from ml.services.serving import ask_again
from ml.tasks import ask_for_measurement


@require_GET
def model_serving(request: HttpRequest, version_id: int) -> HttpResponse:
    """The section alone; it asks for itself while a measurement is under way."""
    version = get_object_or_404(ModelVersion, pk=version_id)
    context = {
        "version": version,
        "serving": serving_section(version, version.operating_points.first()),
        "may_measure": request.user.is_at_least(Role.QUALITY),
    }
    return render(request, "ml/_serving.html", context)


@require_POST
@role_required(Role.QUALITY)
def model_measure(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, pk=version_id)
    ask_again(version)
    ask_for_measurement(version)
    messages.success(request, _("A worker measures this model next; its figures appear here."))
    return redirect(f"{version.get_absolute_url()}#serving")
