"""What memory the training that is being filled in would take."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from annotation.choices import Role
from annotation.models import Dataset
from annotation.permissions import role_required
from ml.errors import ParametersRefused
from ml.forms import ParametersForm
from ml.methods.declarations import METHODS
from ml.selectors.images import counts_of_dataset
from ml.services.jobs import validate_parameters
from ml.services.memory import tell_memory


@require_GET
@role_required(Role.QUALITY)
def training_memory(request: HttpRequest) -> HttpResponse:
    """The partial for what is in the form; values that are wrong are the form's to tell."""
    return render(request, "ml/_memory.html", _memory(request))


def _memory(request: HttpRequest) -> dict[str, Any]:
    declaration = METHODS.get(request.GET.get("method", "")) or next(iter(METHODS.values()))
    preset = request.GET.get("preset", "")
    preset = preset if preset in declaration.presets else ""
    form = ParametersForm(request.GET, declaration=declaration, preset=preset)
    is_filled_in = any(name.startswith("parameter-") for name in request.GET)
    try:
        given = form.given() if form.is_valid() and is_filled_in else {}
        parameters = validate_parameters(declaration, preset, given)
    except ParametersRefused:
        return {}
    dataset = Dataset.objects.filter(slug=request.GET.get("dataset", "")).first()
    counts = counts_of_dataset(dataset) if dataset else None
    images = counts.ok + counts.ng if counts else 0
    answer = tell_memory(declaration, parameters, images=images)
    return {
        "estimate": answer.estimate,
        "refusal": answer.refusal,
        "is_unmeasured": answer.estimate is None,
    }
