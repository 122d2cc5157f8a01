"""Operating points: list, one, save."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from ml.models import ModelVersion, OperatingPoint
from ml.selectors import versions as version_rows
from ml.services.operating_points import save_operating_point


class OperatingPointSerializer(serializers.ModelSerializer):
    author = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = OperatingPoint
        fields = ["id", "model_version", "ng_at", "review_from", "reason", "expected", "author", "created_at"]
        read_only_fields = fields


class NewOperatingPointSerializer(serializers.Serializer):
    model_version = serializers.PrimaryKeyRelatedField(queryset=ModelVersion.objects.all())
    ng_at = serializers.FloatField(help_text="A score at or above this is NG.")
    review_from = serializers.FloatField(
        required=False, allow_null=True, default=None, help_text="From here up to NG: REVIEW."
    )
    reason = serializers.CharField(max_length=400)


class OperatingPointFilter(filters.FilterSet):
    class Meta:
        model = OperatingPoint
        fields = ["model_version"]


class OperatingPointViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Thresholds, newest first. One that is saved never changes; a new one is another row."""

    queryset = version_rows.operating_points_for_list()
    serializer_class = OperatingPointSerializer
    filterset_class = OperatingPointFilter
    write_role = Role.QUALITY

    @extend_schema(request=NewOperatingPointSerializer, responses={201: OperatingPointSerializer})
    def create(self, request: Request) -> Response:
        """Save a threshold with its reason."""
        asked = NewOperatingPointSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        point = save_operating_point(author=request.user, **asked.validated_data)
        return Response(OperatingPointSerializer(point).data, status=status.HTTP_201_CREATED)
