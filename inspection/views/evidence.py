from pathlib import Path

import cv2
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import cache_control

from annotation.decoding import ImageRefused, decode_image
from inspection.models import View
from inspection.services.evidence import evidence_file

# What every browser shows by itself; the rest is sent as PNG.
_SHOWN = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}


@cache_control(private=True, max_age=86_400, immutable=True)
def send_frame(request: HttpRequest, slug: str, sequence: int, station: str) -> HttpResponse:
    view = _view(slug, sequence, station)
    path = evidence_file(slug, view.frame_path) or (view.image and view.image.path)
    if not path or not Path(path).is_file():
        raise Http404("The image is not kept any more.")
    return _image_response(Path(path))


@cache_control(private=True, max_age=86_400, immutable=True)
def send_map(request: HttpRequest, slug: str, sequence: int, station: str) -> HttpResponse:
    path = evidence_file(slug, _view(slug, sequence, station).map_path)
    if path is None:
        raise Http404("The map is not kept any more.")
    return HttpResponse(path.read_bytes(), content_type="image/png")


def _view(slug: str, sequence: int, station: str) -> View:
    return get_object_or_404(
        View.objects.select_related("image"),
        part__line__slug=slug,
        part__sequence=sequence,
        station__name=station,
    )


def _image_response(path: Path) -> HttpResponse:
    if content_type := _SHOWN.get(path.suffix.lower()):
        return HttpResponse(path.read_bytes(), content_type=content_type)
    try:
        pixels = decode_image(path)
    except ImageRefused as refused:
        raise Http404(refused.reason) from refused
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", pixels)
    return HttpResponse(encoded.tobytes(), content_type="image/png")
