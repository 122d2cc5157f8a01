"""Model versions: list, one, its scores, its stage."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from ml.choices import ModelStage
from ml.models import ImageScore, ModelVersion
from ml.selectors import versions as version_rows
from ml.services.stages import change_stage


class ModelVersionSerializer(serializers.ModelSerializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    evaluation = serializers.SerializerMethodField(help_text="The report, without its images and curves.")

    class Meta:
        model = ModelVersion
        fields = ["id", "dataset", "job", "method", "stage", "evaluation", "created_at"]
        read_only_fields = fields

    def get_evaluation(self, version: ModelVersion) -> dict[str, Any]:
        return {name: value for name, value in version.evaluation.items() if name != "curves"}


class ModelVersionDetailSerializer(ModelVersionSerializer):
    evaluation = serializers.JSONField(help_text="The report, without its images.")

    class Meta(ModelVersionSerializer.Meta):
        fields = [*ModelVersionSerializer.Meta.fields, "card", "parity"]
        read_only_fields = fields


class StageSerializer(serializers.Serializer):
    stage = serializers.ChoiceField(ModelStage.choices)


class ImageScoreSerializer(serializers.ModelSerializer):
    file = serializers.CharField(source="image.name", read_only=True)

    class Meta:
        model = ImageScore
        fields = ["id", "image", "file", "is_ng", "class_name", "score", "probabilities", "fold", "split"]
        read_only_fields = fields


class OkAndNgSerializer(serializers.Serializer):
    ok = serializers.ListField(child=serializers.FloatField())
    ng = serializers.ListField(child=serializers.FloatField())


class ScoreColumnsSerializer(serializers.Serializer):
    held_out = OkAndNgSerializer()
    training = OkAndNgSerializer()
    types = serializers.DictField(
        child=serializers.ListField(child=serializers.FloatField()),
        help_text="Of the held-out NG images, by defect type.",
    )


class ModelVersionFilter(filters.FilterSet):
    dataset = filters.CharFilter(field_name="dataset__slug")

    class Meta:
        model = ModelVersion
        fields = ["dataset", "method", "stage"]


class ModelVersionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Trained models, newest first. Nothing of one changes but its stage."""

    queryset = ModelVersion.objects.all()
    serializer_class = ModelVersionSerializer
    filterset_class = ModelVersionFilter
    write_role = Role.QUALITY

    def get_queryset(self) -> Any:
        if self.action == "list":
            return version_rows.versions_for_list()
        return version_rows.versions_for_detail()

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return ModelVersionDetailSerializer if self.action == "retrieve" else self.serializer_class

    @extend_schema(request=StageSerializer, responses=ModelVersionSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change the stage: candidate, approved or retired."""
        asked = StageSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        version = change_stage(
            model_version=self.get_object(),
            stage=ModelStage(asked.validated_data["stage"]),
            actor=request.user,
        )
        return Response(ModelVersionSerializer(version).data)

    @extend_schema(responses=ImageScoreSerializer(many=True), filters=False)
    @action(detail=True, filterset_class=None)
    def scores(self, request: Request, pk: str) -> Response:
        """The score of each image of the snapshot, paged."""
        page = self.paginate_queryset(version_rows.scores_of_version(self.get_object()))
        return self.get_paginated_response(ImageScoreSerializer(page, many=True).data)

    @extend_schema(responses=ScoreColumnsSerializer, filters=False)
    @action(
        detail=True,
        url_path="score-columns",
        url_name="score-columns",
        filterset_class=None,
        pagination_class=None,
    )
    def score_columns(self, request: Request, pk: str) -> Response:
        """All scores at once as sorted lists of numbers, for histograms and thresholds."""
        return Response(version_rows.score_columns(self.get_object()))
