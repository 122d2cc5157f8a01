from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.choices import Role
from annotation.errors import DomainError
from annotation.permissions import role_required
from inspection.models import Line
from inspection.services import deployments
from inspection.services.deadlines import deadline_warning
from ml.models import OperatingPoint


@require_POST
@role_required(Role.ENGINEER)
def deploy_point(request: HttpRequest, pk: int) -> HttpResponse:
    point = get_object_or_404(OperatingPoint.objects.select_related("model_version__dataset"), pk=pk)
    line = Line.objects.filter(slug=request.POST.get("line", "")).first()
    if line is None:
        messages.error(request, _("Choose the line to deploy to."))
        return redirect(point)
    try:
        deployment = deployments.deploy(operating_point=point, line=line, by=request.user)
    except DomainError as refused:
        messages.error(request, str(refused))
        return redirect(point)
    messages.success(
        request,
        _("Deployment of %(point)s: %(next)s") % {"point": point, "next": deployments.outlook(deployment)},
    )
    if warning := deadline_warning(line, point.model_version):
        messages.warning(request, warning)
    return redirect(line)
