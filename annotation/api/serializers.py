"""The shapes of annotation's records in REST. Sizes are pixels, times UTC, images and maps URLs."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from annotation.choices import ImportLayout
from annotation.formats.contract import MAX_CLASS, MAX_ITEM, MAX_VIEW
from annotation.models import Dataset, Image, ImageSource, ImportJob, ImportRemark, Label, LabelClass, Region

MAX_BULK = 1000


class LabelClassSerializer(serializers.ModelSerializer):
    class Meta:
        model = LabelClass
        fields = ["number", "name"]
        read_only_fields = ["number"]
        validators: list = []  # the service says what is wrong with a name


class CountsSerializer(serializers.Serializer):
    """Distinct images."""

    images = serializers.IntegerField()
    ok = serializers.IntegerField()
    ng = serializers.IntegerField()
    unlabelled = serializers.IntegerField()
    disputed = serializers.IntegerField()


class DatasetSerializer(serializers.ModelSerializer):
    """`context["counts"]` holds the counts by dataset id."""

    name = serializers.CharField(max_length=120)
    classes = LabelClassSerializer(many=True, read_only=True)
    counts = serializers.SerializerMethodField()

    class Meta:
        model = Dataset
        fields = ["slug", "name", "description", "is_synthetic", "created_at", "classes", "counts"]
        read_only_fields = ["slug", "is_synthetic", "created_at"]

    @extend_schema_field(CountsSerializer)
    def get_counts(self, dataset: Dataset) -> dict[str, int]:
        return CountsSerializer(self.context["counts"][dataset.pk]).data


class ImageSourceSerializer(serializers.ModelSerializer):
    class Meta:
        model = ImageSource
        fields = ["name", "item", "view"]


class ImageSerializer(serializers.ModelSerializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    sources = ImageSourceSerializer(many=True, read_only=True)
    file = serializers.SerializerMethodField()
    thumbnail = serializers.SerializerMethodField()

    class Meta:
        model = Image
        fields = [
            "id", "dataset", "name", "sha256", "height", "width", "size_bytes", "captured_at", "added_at",
            "is_disputed", "sources", "file", "thumbnail",
        ]  # fmt: skip

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": _class_field(source="current_class")}

    def get_file(self, image: Image) -> str:
        return reverse("image_file", args=[image.pk])

    def get_thumbnail(self, image: Image) -> str:
        return reverse("image_thumbnail", args=[image.pk])


class ImageUploadSerializer(serializers.Serializer):
    image = serializers.FileField(help_text="JPEG, PNG, BMP, TIFF or WebP.")
    item = serializers.CharField(max_length=MAX_ITEM, required=False, default="", help_text="Physical part.")
    view = serializers.CharField(max_length=MAX_VIEW, required=False, default="")
    captured_at = serializers.DateTimeField(required=False, default=None)

    def get_fields(self) -> dict[str, serializers.Field]:
        name = serializers.CharField(
            max_length=MAX_CLASS, required=False, default="", help_text="OK, NG or a class of the dataset."
        )
        return {**super().get_fields(), "class": name}


class LabelSerializer(serializers.ModelSerializer):
    author = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Label
        fields = ["id", "author", "how", "is_adjudication", "created_at"]

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": _class_field(source="label_class")}


class NewLabelSerializer(serializers.Serializer):
    is_adjudication = serializers.BooleanField(
        required=False, default=False, help_text="Settles a disagreement between authors."
    )

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": _class_name_field()}


class ImageIdsSerializer(serializers.Serializer):
    images = serializers.ListField(child=serializers.IntegerField(), min_length=1, max_length=MAX_BULK)


class BulkLabelSerializer(ImageIdsSerializer):
    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": _class_name_field()}


class StandingSerializer(serializers.ModelSerializer):
    """What an image is taken for now."""

    class Meta:
        model = Image
        fields = ["id", "is_disputed"]

    def get_fields(self) -> dict[str, serializers.Field]:
        return {**super().get_fields(), "class": _class_field(source="current_class")}


class BulkLabelledSerializer(serializers.Serializer):
    """Every image asked for as it stands now; `changed` are those that got a new label."""

    images = StandingSerializer(many=True)
    changed = serializers.ListField(child=serializers.IntegerField())
    counts = CountsSerializer()


class ImportSerializer(serializers.ModelSerializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    layout_found = serializers.CharField(read_only=True)

    class Meta:
        model = ImportJob
        fields = [
            "id", "dataset", "source_name", "layout", "layout_found", "layout_reason", "state", "error",
            "files_total", "files_done", "images_added", "already_there", "duplicates", "labels_added",
            "refused", "created_at", "finished_at",
        ]  # fmt: skip


class NewImportSerializer(serializers.Serializer):
    archive = serializers.FileField(help_text="A ZIP.")
    layout = serializers.ChoiceField(ImportLayout, required=False, default=ImportLayout.AUTO)


class ImportRemarkSerializer(serializers.ModelSerializer):
    class Meta:
        model = ImportRemark
        fields = ["kind", "file", "reason"]


class RegionSerializer(serializers.ModelSerializer):
    author = serializers.SlugRelatedField(slug_field="username", read_only=True)
    ignored = serializers.ListField(
        child=serializers.ListField(
            child=serializers.ListField(child=serializers.FloatField(), min_length=2, max_length=2)
        ),
        required=False,
        default=list,
        help_text="Polygons of (x, y) points in pixels of the original image.",
    )

    class Meta:
        model = Region
        fields = ["view", "version", "top", "left", "height", "width", "ignored", "author", "created_at"]
        read_only_fields = ["version", "created_at"]
        validators: list = []
        extra_kwargs = {"view": {"required": False, "default": ""}}


def _class_field(**options: Any) -> serializers.Field:
    return LabelClassSerializer(read_only=True, allow_null=True, **options)


def _class_name_field() -> serializers.Field:
    return serializers.CharField(
        max_length=MAX_CLASS,
        allow_null=True,
        help_text="OK, NG or a class of the dataset; null withdraws your earlier word.",
    )
