"""Judged parts and the words on them."""

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.api.paging import NewestFirst
from annotation.choices import Role
from inspection import selectors
from inspection.choices import Verdict
from inspection.models import Line, Part
from inspection.services import dispositions

from .serializers import (
    DispositionSerializer,
    NewDispositionSerializer,
    PartDetailSerializer,
    PartSerializer,
)


class NewestSequenceFirst(NewestFirst):
    ordering = "-sequence"


class PartFilter(filters.FilterSet):
    after = filters.NumberFilter(
        field_name="sequence", lookup_expr="gt", label="Only parts behind this sequence."
    )
    verdict = filters.MultipleChoiceFilter(choices=Verdict.choices)
    serial = filters.CharFilter()
    judged = filters.IsoDateTimeFromToRangeFilter(field_name="judged_at")

    class Meta:
        model = Part
        fields = ["after", "verdict", "serial", "judged"]


class PartList(generics.ListAPIView):
    """A line's parts, newest first. A client that missed events asks with `after`, and follows `next`."""

    queryset = Part.objects.none()
    serializer_class = PartSerializer
    pagination_class = NewestSequenceFirst
    filterset_class = PartFilter

    def get_queryset(self) -> QuerySet[Part]:
        if getattr(self, "swagger_fake_view", False):
            return Part.objects.none()
        line = get_object_or_404(Line, slug=self.kwargs["slug"])
        return selectors.parts_with_views().filter(line=line)


class PartDetail(generics.RetrieveAPIView):
    """One part, with its times, its place in the chain of records, and what people said of it."""

    queryset = Part.objects.none()
    serializer_class = PartDetailSerializer

    def get_object(self) -> Part:
        return get_object_or_404(selectors.part_with_history(self.kwargs["slug"], self.kwargs["sequence"]))


class DispositionList(generics.GenericAPIView):
    """A person's word on a part."""

    queryset = Part.objects.none()
    serializer_class = NewDispositionSerializer
    write_role = Role.OPERATOR

    @extend_schema(request=NewDispositionSerializer, responses={201: DispositionSerializer})
    def post(self, request: Request, slug: str, sequence: int) -> Response:
        """Confirm or overrule; where the part's image belongs to a dataset, it becomes a label as well."""
        part = get_object_or_404(selectors.part_with_history(slug, sequence))
        asked = NewDispositionSerializer(
            data=request.data, context={"datasets": dispositions.datasets_of(part)}
        )
        asked.is_valid(raise_exception=True)
        said = dispositions.dispose_part(part=part, by=request.user, **asked.validated_data)
        return Response(DispositionSerializer(said).data, status=status.HTTP_201_CREATED)
