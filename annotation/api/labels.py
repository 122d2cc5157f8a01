from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.choices import Role
from annotation.models import Dataset, Image, Label
from annotation.selectors.datasets import counts_of_one
from annotation.selectors.images import images_with_class
from annotation.services.datasets import existing_class
from annotation.services.labels import label_images, undo_labels

from .datasets import dataset_or_404
from .images import how_of
from .serializers import (
    BulkLabelledSerializer,
    BulkLabelSerializer,
    ImageIdsSerializer,
    LabelSerializer,
    NewLabelSerializer,
)


class LabelList(generics.ListAPIView):
    """Every word on one image, newest first."""

    queryset = Label.objects.none()  # the schema's, which knows no dataset
    serializer_class = LabelSerializer
    write_role = Role.QUALITY

    def get_queryset(self) -> QuerySet[Label]:
        return Label.objects.filter(image=self.kwargs["pk"]).select_related("label_class", "author")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        get_object_or_404(Image, pk=kwargs["pk"])
        return super().list(request, *args, **kwargs)

    @extend_schema(
        request=NewLabelSerializer,
        responses={
            201: LabelSerializer,
            200: OpenApiResponse(LabelSerializer, "You said the same before: that label."),
        },
    )
    def post(self, request: Request, pk: int) -> Response:
        """Say what the image is."""
        image = get_object_or_404(Image.objects.select_related("dataset"), pk=pk)
        form = NewLabelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        changed = label_images(
            images=[image],
            label_class=_chosen_class(image.dataset, form.validated_data["class"], request),
            author=request.user,
            how=how_of(request),
            is_adjudication=form.validated_data["is_adjudication"],
        )
        latest = self.get_queryset().filter(author=request.user).order_by("-pk").first()
        if latest is None:
            raise ValidationError({"class": ["You have said nothing that could be withdrawn."]})
        return Response(
            LabelSerializer(latest).data,
            status=status.HTTP_201_CREATED if changed else status.HTTP_200_OK,
        )


class BulkLabels(APIView):
    write_role = Role.QUALITY

    @extend_schema(request=BulkLabelSerializer, responses=BulkLabelledSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Say of up to 1,000 images of a dataset what they are."""
        dataset = dataset_or_404(slug)
        form = BulkLabelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        images = _images_of(dataset, form.validated_data["images"])
        label_class = _chosen_class(dataset, form.validated_data["class"], request)
        changed = label_images(
            images=images, label_class=label_class, author=request.user, how=how_of(request)
        )
        return _answer(dataset, images, changed)


class BulkUndo(APIView):
    write_role = Role.QUALITY

    @extend_schema(request=ImageIdsSerializer, responses=BulkLabelledSerializer)
    def post(self, request: Request, slug: str) -> Response:
        """Take back your last word on each image."""
        dataset = dataset_or_404(slug)
        form = ImageIdsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        images = _images_of(dataset, form.validated_data["images"])
        return _answer(dataset, images, undo_labels(images=images, author=request.user))


def _chosen_class(dataset: Dataset, name: str | None, request: Request):
    return existing_class(dataset=dataset, name=name, actor=request.user) if name is not None else None


def _images_of(dataset: Dataset, ids: list[int]) -> list[Image]:
    images = list(Image.objects.filter(dataset=dataset, pk__in=ids))
    missing = sorted(set(ids) - {image.pk for image in images})
    if missing:
        raise ValidationError({"images": [f"The dataset has no image {missing[0]}. Nothing was changed."]})
    return images


def _answer(dataset: Dataset, images: list[Image], changed: list[Image]) -> Response:
    standing = images_with_class().filter(pk__in=[image.pk for image in images])
    answer = {
        "images": standing,
        "changed": [image.pk for image in changed],
        "counts": counts_of_one(dataset),
    }
    return Response(BulkLabelledSerializer(answer).data)
