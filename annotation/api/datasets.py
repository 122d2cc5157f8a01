from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.choices import Role
from annotation.models import Dataset, LabelClass, Region
from annotation.selectors.datasets import counts_of
from annotation.services.datasets import create_class, create_dataset, rename_class
from annotation.services.regions import set_region

from .serializers import DatasetSerializer, LabelClassSerializer, RegionSerializer


def dataset_or_404(slug: str) -> Dataset:
    return get_object_or_404(Dataset, slug=slug)


class DatasetList(generics.ListCreateAPIView):
    """Datasets with their classes and counts."""

    queryset = Dataset.objects.prefetch_related("classes")
    serializer_class = DatasetSerializer
    write_role = Role.QUALITY

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(_serialized(page, many=True))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        form = DatasetSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        dataset = create_dataset(created_by=request.user, **form.validated_data)
        return Response(_serialized(dataset), status=status.HTTP_201_CREATED)


class DatasetDetail(generics.RetrieveAPIView):
    queryset = Dataset.objects.prefetch_related("classes")
    serializer_class = DatasetSerializer
    lookup_field = "slug"

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_serialized(self.get_object()))


def _serialized(datasets: Any, many: bool = False) -> Any:
    counts = counts_of(datasets if many else [datasets])
    return DatasetSerializer(datasets, many=many, context={"counts": counts}).data


class ClassList(generics.ListCreateAPIView):
    """The classes of a dataset; the number is what the PLC is told."""

    queryset = LabelClass.objects.none()  # the schema's, which knows no dataset
    serializer_class = LabelClassSerializer
    pagination_class = None
    write_role = Role.QUALITY

    def get_queryset(self) -> QuerySet[LabelClass]:
        return LabelClass.objects.filter(dataset__slug=self.kwargs["slug"])

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset_or_404(kwargs["slug"])
        return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset = dataset_or_404(kwargs["slug"])
        form = LabelClassSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made = create_class(dataset=dataset, name=form.validated_data["name"], actor=request.user)
        return Response(LabelClassSerializer(made).data, status=status.HTTP_201_CREATED)


class ClassDetail(APIView):
    write_role = Role.QUALITY

    @extend_schema(request=LabelClassSerializer, responses=LabelClassSerializer)
    def put(self, request: Request, slug: str, number: int) -> Response:
        """Rename a class. Its number stays."""
        label_class = get_object_or_404(LabelClass, dataset__slug=slug, number=number)
        form = LabelClassSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        renamed = rename_class(label_class=label_class, name=form.validated_data["name"], actor=request.user)
        return Response(LabelClassSerializer(renamed).data)


class RegionList(generics.ListCreateAPIView):
    """Every version of every view's region, newest first. Posting sets a new version."""

    queryset = Region.objects.none()  # the schema's, which knows no dataset
    serializer_class = RegionSerializer
    write_role = Role.QUALITY

    def get_queryset(self) -> QuerySet[Region]:
        return Region.objects.filter(dataset__slug=self.kwargs["slug"]).select_related("author")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset_or_404(kwargs["slug"])
        return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset = dataset_or_404(kwargs["slug"])
        form = RegionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        region = set_region(dataset=dataset, author=request.user, **form.validated_data)
        return Response(RegionSerializer(region).data, status=status.HTTP_201_CREATED)
