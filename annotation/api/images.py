from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import LabelHow, Role
from annotation.models import Image
from annotation.selectors.images import ImageFilter, images_matching
from annotation.services.datasets import existing_class
from annotation.services.images import add_upload

from .datasets import dataset_or_404
from .serializers import ImageSerializer, ImageUploadSerializer


def how_of(request: Request) -> LabelHow:
    """A person at a page, or a program with a token."""
    is_page = isinstance(request.successful_authenticator, SessionAuthentication)
    return LabelHow.KEYBOARD if is_page else LabelHow.API


class ImageFilterSet(django_filters.FilterSet):
    show = django_filters.CharFilter(help_text="ok, ng, unlabelled, disputed or the number of a class")
    item = django_filters.CharFilter(help_text="of this physical part")
    view = django_filters.CharFilter(help_text="of this view")
    search = django_filters.CharFilter(help_text="part of a file's name")

    class Meta:
        model = Image
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[Image]) -> QuerySet[Image]:
        return images_matching(queryset, ImageFilter(**self.form.cleaned_data))


class ImageList(generics.ListAPIView):
    """The images of a dataset, newest first."""

    queryset = Image.objects.none()  # the schema's, which knows no dataset
    serializer_class = ImageSerializer
    filterset_class = ImageFilterSet
    parser_classes = [MultiPartParser]
    write_role = Role.QUALITY

    def get_queryset(self) -> QuerySet[Image]:
        images = Image.objects.filter(dataset__slug=self.kwargs["slug"])
        return images.select_related("dataset", "current_class").prefetch_related("sources")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        dataset_or_404(kwargs["slug"])
        return super().list(request, *args, **kwargs)

    @extend_schema(
        request={"multipart/form-data": ImageUploadSerializer},
        responses={
            201: ImageSerializer,
            200: OpenApiResponse(ImageSerializer, "Byte-identical to an image of the dataset: its record."),
        },
    )
    def post(self, request: Request, slug: str) -> Response:
        """Bring one image."""
        dataset = dataset_or_404(slug)
        form = ImageUploadSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        fields = dict(form.validated_data)
        class_name, upload = fields.pop("class"), fields.pop("image")
        label_class = (
            existing_class(dataset=dataset, name=class_name, actor=request.user) if class_name else None
        )
        stored = add_upload(
            dataset=dataset,
            upload=upload,
            author=request.user,
            how=how_of(request),
            label_class=label_class,
            **fields,
        )
        return Response(
            ImageSerializer(stored.image).data,
            status=status.HTTP_201_CREATED if stored.is_new else status.HTTP_200_OK,
        )


class ImageDetail(generics.RetrieveAPIView):
    queryset = Image.objects.select_related("dataset", "current_class").prefetch_related("sources")
    serializer_class = ImageSerializer
