"""Images in by HTTP: frames for a push station, and bench inspections."""

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from annotation.decoding import ImageRefused
from inspection.models import Line, Station
from inspection.services import frames

from .parsers import RawImageParser
from .serializers import FrameSerializer, InspectionSerializer, InspectSerializer

_RAW_NAME = "image"


class FrameList(generics.GenericAPIView):
    """Frames of a station."""

    queryset = Station.objects.all()
    serializer_class = FrameSerializer
    parser_classes = [MultiPartParser, RawImageParser]
    write_role = Role.ENGINEER

    @extend_schema(
        request={"multipart/form-data": FrameSerializer, "image/*": bytes},
        responses={
            202: OpenApiResponse(description="The running line has it."),
            400: OpenApiResponse(description="Not an image that is taken, with the reason."),
            429: OpenApiResponse(description="The line has too many waiting; nothing was kept."),
            503: OpenApiResponse(description="The line is not running."),
        },
    )
    def post(self, request: Request, slug: str, station: str) -> Response:
        """Hand an image to a push station: as the form's file `image`, or as the whole body."""
        found = get_object_or_404(Station.objects.select_related("line"), line__slug=slug, name=station)
        name, content = _image(request, "image")
        frames.push_frame(
            line=found.line,
            station=found,
            name=name,
            content=content,
            trigger_sequence=_trigger_sequence(request),
        )
        return Response({"detail": f"{name} is with {found.line}."}, status=status.HTTP_202_ACCEPTED)


class Inspect(generics.GenericAPIView):
    """Bench inspection."""

    queryset = Line.objects.prefetch_related("stations")
    serializer_class = InspectSerializer
    lookup_field = "slug"
    parser_classes = [MultiPartParser, RawImageParser]
    write_role = Role.OPERATOR

    @extend_schema(
        request={"multipart/form-data": InspectSerializer, "image/*": bytes},
        responses={
            200: InspectionSerializer,
            400: OpenApiResponse(description="Not an image that is taken, with the reason."),
            413: OpenApiResponse(description="The images are too long for one inspection."),
            503: OpenApiResponse(description="The line is not running."),
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        """Ask for the verdict of the model in force. The PLC is told nothing; the part is recorded."""
        line = self.get_object()
        given = _images_by_station(request, line)
        asked = InspectSerializer(data={"serial": request.data.get("serial", "")})
        asked.is_valid(raise_exception=True)
        answer = frames.inspect_images(line=line, frames=given, serial=asked.validated_data["serial"])
        return Response(answer)


def _images_by_station(request: Request, line: Line) -> dict[str, tuple[str, bytes]]:
    stations = [station.name for station in line.stations.all()]
    if not stations:
        raise ValidationError({"image": [f"{line} has no station."]})
    given = {name: _image(request, name) for name in stations if name in request.data}
    if "image" in request.data:
        given.setdefault(stations[0], _image(request, "image"))
    unknown = [name for name in request.data if name not in {"image", "serial", *stations}]
    if unknown:
        raise ValidationError(
            {unknown[0]: [f"There is no station of this name; there are {', '.join(stations)}."]}
        )
    if not given:
        raise ValidationError({"image": ["Send an image: as the form's file “image”, or as the whole body."]})
    return given


def _image(request: Request, field: str) -> tuple[str, bytes]:
    """The name and the checked bytes of an image in a request."""
    sent = request.data.get(field)
    if isinstance(sent, UploadedFile):
        # One byte more than is taken, so that the limit is noticed.
        name, content = (sent.name or _RAW_NAME)[:400], sent.read(settings.MAX_IMAGE_BYTES + 1)
    elif isinstance(sent, bytes):
        name, content = _RAW_NAME, sent
    else:
        raise ValidationError({field: ["Send an image file."]})
    try:
        frames.check_image(content)
    except ImageRefused as refused:
        raise ValidationError({field: [refused.reason]}) from refused
    return name, content


def _trigger_sequence(request: Request) -> int | None:
    if "trigger_sequence" not in request.data:
        return None
    asked = FrameSerializer(data={"trigger_sequence": request.data["trigger_sequence"]}, partial=True)
    asked.is_valid(raise_exception=True)
    number: int = asked.validated_data["trigger_sequence"]
    return number
