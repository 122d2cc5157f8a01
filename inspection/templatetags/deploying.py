"""What pages of other apps show of lines; they include a template and need import nothing."""

from django import template
from django.http import HttpRequest
from django.template import RequestContext

from annotation.choices import Role
from inspection import selectors
from inspection.models import Line
from ml.models import OperatingPoint

register = template.Library()


@register.inclusion_tag("inspection/_deploy_controls.html", takes_context=True)
def deploy_form(context: RequestContext, operating_point: OperatingPoint) -> dict:
    """Where an operating point is live, and a form that deploys it to a line."""
    request = context["request"]
    lines = _lines_of(request)
    return {
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "operating_point": operating_point,
        "lines": lines,
        "live_on": [line for line in lines if line.live_point == operating_point.pk],
        "may_deploy": request.user.is_at_least(Role.ENGINEER),
    }


def _lines_of(request: HttpRequest) -> list[Line]:
    """Asked for once a page, however many operating points it lists."""
    if not hasattr(request, "lines_to_deploy_to"):
        request.lines_to_deploy_to = list(selectors.lines_with_live_point())
    return request.lines_to_deploy_to
