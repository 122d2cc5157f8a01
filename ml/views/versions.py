"""Model versions: the list, one with its threshold tuner, its stage, its operating points."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from ml.choices import ModelStage
from ml.forms import OperatingPointForm, RuleForm
from ml.methods.declarations import METHODS
from ml.models import ModelVersion
from ml.selectors import versions as version_rows
from ml.services.operating_points import save_operating_point
from ml.services.stages import change_stage
from ml.thresholds import RULES

from .discovery import discovery_context
from .figures_by_class import class_rows, classification
from .metrics import metric_rows
from .paging import newest_first_page


@require_GET
def model_versions(request: HttpRequest) -> HttpResponse:
    rows, before = newest_first_page(request, version_rows.versions_for_list())
    return render(request, "ml/model_versions.html", {"versions": rows, "before": before})


@require_GET
def model_version(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(version_rows.versions_for_detail(), pk=version_id)
    points = list(version_rows.operating_points_for_list().filter(model_version=version))
    return render(
        request,
        "ml/model_version.html",
        {
            "version": version,
            "method": METHODS.get(version.method),
            "metrics": metric_rows(version.evaluation),
            "classes": class_rows(version.evaluation),
            "classification": classification(version.evaluation),
            "points": points,
            "current_point": points[0] if points else None,
            "rules": [{"rule": rule, "form": RuleForm(rule)} for rule in RULES.values()],
            "stages": ModelStage.choices,
            "worst_ok": version_rows.highest_scoring_ok(version),
            "worst_ng": version_rows.lowest_scoring_ng(version),
            "may_tune": request.user.is_at_least(Role.QUALITY),
            **discovery_context(request, version),
        },
    )


@require_POST
@role_required(Role.QUALITY)
def model_stage(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, pk=version_id)
    stage = request.POST.get("stage", "")
    if stage in ModelStage.values:
        change_stage(model_version=version, stage=ModelStage(stage), actor=request.user)
        messages.success(
            request,
            _("Version %(id)d is now: %(stage)s.") % {"id": version.pk, "stage": version.get_stage_display()},
        )
    else:
        messages.error(request, _("There is no such stage."))
    return redirect(version)


@require_POST
@role_required(Role.QUALITY)
def operating_point_new(request: HttpRequest, version_id: int) -> HttpResponse:
    version = get_object_or_404(ModelVersion, pk=version_id)
    form = OperatingPointForm(request.POST)
    if not form.is_valid():
        for field, errors in form.errors.items():
            label = form.fields[field].label if field in form.fields else ""
            messages.error(request, f"{label}: {' '.join(errors)}" if label else " ".join(errors))
        return redirect(version)
    try:
        point = save_operating_point(model_version=version, author=request.user, **form.cleaned_data)
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Saved: NG from %(score).4f.") % {"score": point.ng_at})
    return redirect(version)
