"""Discoveries: list, one with its map, start, cancel."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from annotation.models import Dataset
from ml.choices import DiscoveryAmong
from ml.models import Discovery, ModelVersion
from ml.selectors import discoveries as discovery_rows
from ml.services.discovery import MAX_TYPES, cancel_discovery, queue_discovery
from ml.tasks import ask_for_discovery


class DiscoverySerializer(serializers.ModelSerializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Discovery
        fields = [
            "id", "model_version", "dataset", "among", "types_asked", "types_of", "seed", "state", "progress",
            "stage_text", "error", "created_at", "finished_at", "created_by",
        ]  # fmt: skip
        read_only_fields = fields


class DiscoveryDetailSerializer(DiscoverySerializer):
    class Meta(DiscoverySerializer.Meta):
        fields = [*DiscoverySerializer.Meta.fields, "points", "findings"]
        read_only_fields = fields


class NewDiscoverySerializer(serializers.Serializer):
    version = serializers.PrimaryKeyRelatedField(queryset=ModelVersion.objects.all(), help_text="Its number.")
    dataset = serializers.SlugRelatedField(slug_field="slug", queryset=Dataset.objects.all())
    among = serializers.ChoiceField(
        DiscoveryAmong.choices, required=False, default=DiscoveryAmong.NOT_OK.value
    )
    types = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=2,
        max_value=MAX_TYPES,
        help_text="Their number; null for the best silhouette.",
    )
    types_of = serializers.PrimaryKeyRelatedField(
        queryset=Discovery.objects.defer("points"),
        required=False,
        allow_null=True,
        default=None,
        help_text="Number of an earlier discovery whose types are kept; null to find them anew.",
    )
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)


class DiscoveryFilter(filters.FilterSet):
    dataset = filters.CharFilter(field_name="dataset__slug")

    class Meta:
        model = Discovery
        fields = ["model_version", "dataset", "state"]


class DiscoveryViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Searches for types of defects, newest first."""

    queryset = Discovery.objects.all()
    serializer_class = DiscoverySerializer
    filterset_class = DiscoveryFilter
    write_role = Role.QUALITY

    def get_queryset(self) -> Any:
        if self.action == "list":
            return discovery_rows.discoveries_for_list()
        return Discovery.objects.select_related("dataset", "created_by")

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return DiscoveryDetailSerializer if self.action == "retrieve" else self.serializer_class

    @extend_schema(request=NewDiscoverySerializer, responses={201: DiscoverySerializer})
    def create(self, request: Request) -> Response:
        """Look for types of defects. 409 where the model or the images don't allow it, with the reason."""
        asked = NewDiscoverySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        discovery = queue_discovery(author=request.user, **asked.validated_data)
        ask_for_discovery(discovery)
        return Response(DiscoverySerializer(discovery).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=DiscoverySerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End one that waits or runs. 409 where it has ended."""
        cancelled = cancel_discovery(discovery=self.get_object(), actor=request.user)
        return Response(DiscoverySerializer(cancelled).data)
