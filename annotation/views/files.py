"""Image files and their thumbnails, for people who are logged in."""

from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.exceptions import SuspiciousFileOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils._os import safe_join
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from annotation.models import Image
from annotation.services.renderings import (
    SHOWN_BY_BROWSERS,
    ImageFileLost,
    shown_file,
    thumbnail,
)

_CONTENT_TYPES: Final = {**SHOWN_BY_BROWSERS, ".json": "application/json"}
# Images are addressed by what can't change, so a browser need never ask again.
_for_good = cache_control(private=True, max_age=31_536_000, immutable=True)


@require_safe
@_for_good
def image_file(request: HttpRequest, image_id: int) -> HttpResponse:
    image = get_object_or_404(Image, pk=image_id)
    try:
        return _sent(shown_file(image))
    except ImageFileLost as error:
        raise Http404(str(error)) from error


@require_safe
@_for_good
def image_thumbnail(request: HttpRequest, image_id: int) -> HttpResponse:
    image = get_object_or_404(Image, pk=image_id)
    try:
        return _sent(thumbnail(image))
    except ImageFileLost as error:
        raise Http404(str(error)) from error


@require_safe
@_for_good
def media(request: HttpRequest, path: str) -> HttpResponse:
    """A file below MEDIA_ROOT, wherever links lead to: nothing outside is ever sent."""
    root = Path(settings.MEDIA_ROOT).resolve()
    try:
        wanted = Path(safe_join(root, path)).resolve()
    except (SuspiciousFileOperation, ValueError) as error:
        raise Http404("There is no such file.") from error
    if not (wanted.is_relative_to(root) and wanted.is_file()):
        raise Http404("There is no such file.")
    return _sent(wanted)


def _sent(path: Path) -> HttpResponse:
    # Read whole: under ASGI a file sent as a stream is collected in memory by Django all the same.
    content_type = _CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
    response = HttpResponse(path.read_bytes(), content_type=content_type)
    response["X-Content-Type-Options"] = "nosniff"
    return response
