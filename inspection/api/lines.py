"""Lines: list, one, make, change; their figures."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.paging import NewestFirst
from annotation.choices import Role
from inspection import selectors
from inspection.models import Line
from inspection.services.line_settings import save_line

from .serializers import LineSerializer, LineSummarySerializer


class LineList(generics.ListCreateAPIView):
    """Lines with their stations, and whether they run. Making one needs the role of an engineer."""

    queryset = selectors.lines()
    serializer_class = LineSerializer
    pagination_class = NewestFirst
    write_role = Role.ENGINEER

    def perform_create(self, serializer: LineSerializer) -> None:
        save_line(save=serializer.save, by=self.request.user, changes=dict(self.request.data), is_new=True)


class LineDetail(generics.RetrieveUpdateAPIView):
    """One line. With a change its process stops between two parts and starts again, within seconds."""

    queryset = selectors.lines()
    serializer_class = LineSerializer
    lookup_field = "slug"
    write_role = Role.ENGINEER
    http_method_names = ["get", "patch", "head", "options"]

    def perform_update(self, serializer: LineSerializer) -> None:
        save_line(save=serializer.save, by=self.request.user, changes=dict(self.request.data), is_new=False)


class LineSummary(generics.GenericAPIView):
    """A line's counts today and in the last hour, its pace and its latencies."""

    queryset = Line.objects.all()
    serializer_class = LineSummarySerializer
    lookup_field = "slug"

    @extend_schema(responses=LineSummarySerializer)
    def get(self, request: Request, slug: str) -> Response:
        return Response(_shown(self.get_object()))


def _shown(line: Line) -> dict[str, Any]:
    return selectors.line_summary(line).to_dict()
