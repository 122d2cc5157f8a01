from typing import Any

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from annotation.models import ImportJob, ImportRemark
from annotation.services.importing import queue_import
from annotation.services.uploads import keep_upload
from annotation.tasks import ask_for_import

from .datasets import dataset_or_404
from .serializers import ImportRemarkSerializer, ImportSerializer, NewImportSerializer


class ImportList(generics.ListAPIView):
    """The imports of a dataset, newest first."""

    queryset = ImportJob.objects.none()  # the schema's, which knows no dataset
    serializer_class = ImportSerializer
    parser_classes = [MultiPartParser]
    write_role = Role.QUALITY

    def get_queryset(self) -> QuerySet[ImportJob]:
        return ImportJob.objects.filter(dataset__slug=self.kwargs["slug"]).select_related("dataset")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset_or_404(kwargs["slug"])
        return super().list(request, *args, **kwargs)

    @extend_schema(request={"multipart/form-data": NewImportSerializer}, responses={202: ImportSerializer})
    def post(self, request: Request, slug: str) -> Response:
        """Bring a ZIP; a worker imports it."""
        dataset = dataset_or_404(slug)
        form = NewImportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        archive = form.validated_data["archive"]
        job = queue_import(
            dataset=dataset,
            source=keep_upload(archive),
            source_name=archive.name,
            layout=form.validated_data["layout"],
            is_upload=True,
            created_by=request.user,
        )
        ask_for_import(job)
        return Response(ImportSerializer(job).data, status=status.HTTP_202_ACCEPTED)


class ImportDetail(generics.RetrieveAPIView):
    serializer_class = ImportSerializer

    def get_object(self) -> ImportJob:
        jobs = ImportJob.objects.select_related("dataset")
        return get_object_or_404(jobs, dataset__slug=self.kwargs["slug"], pk=self.kwargs["pk"])


class RemarkFilterSet(django_filters.FilterSet):
    class Meta:
        model = ImportRemark
        fields = ["kind"]


class RemarkList(generics.ListAPIView):
    """Every file of an import that was refused, or is byte-identical to another, and why."""

    queryset = ImportRemark.objects.none()  # the schema's, which knows no dataset
    serializer_class = ImportRemarkSerializer
    filterset_class = RemarkFilterSet

    def get_queryset(self) -> QuerySet[ImportRemark]:
        return ImportRemark.objects.filter(job=self.kwargs["pk"], job__dataset__slug=self.kwargs["slug"])
