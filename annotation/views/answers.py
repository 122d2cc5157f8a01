"""How a page's form answers: a redirect for a browser, JSON for a script that shows the upload's progress."""

from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect


def wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def gone_to(request: HttpRequest, url: str) -> HttpResponse:
    return JsonResponse({"url": url}, status=201) if wants_json(request) else redirect(url)


def refused(form: Form) -> JsonResponse:
    errors = {field: list(messages) for field, messages in form.errors.items()}
    return JsonResponse(errors, status=400)
