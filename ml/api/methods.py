"""The methods that a job can name, with the JSON schema of their parameters."""

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, viewsets
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from ml.methods.declarations import METHODS, MethodDeclaration


class NeedsSerializer(serializers.Serializer):
    ok = serializers.IntegerField()
    ng = serializers.IntegerField()
    per_class = serializers.IntegerField()


class MethodSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    when_to_use = serializers.CharField()
    needs = NeedsSerializer()
    parameters = serializers.JSONField(help_text="JSON schema of a job's parameters.")
    presets = serializers.DictField(child=serializers.JSONField(), help_text="Parameters by preset.")


@extend_schema_view(
    list=extend_schema(responses=MethodSerializer(many=True)),
    retrieve=extend_schema(responses=MethodSerializer),
)
class MethodViewSet(viewsets.ViewSet):
    """Training methods. Few and fixed, so not paged."""

    lookup_field = "name"
    lookup_value_regex = "[a-z0-9_]+"

    def list(self, request: Request) -> Response:
        return Response([_shown(one) for one in METHODS.values()])

    def retrieve(self, request: Request, name: str) -> Response:
        if name not in METHODS:
            raise NotFound(f"There is no method “{name}”; there are {', '.join(METHODS)}.")
        return Response(_shown(METHODS[name]))


def _shown(declaration: MethodDeclaration) -> dict[str, Any]:
    return {
        "name": declaration.name,
        "title": declaration.title,
        "when_to_use": declaration.when_to_use,
        "needs": asdict(declaration.needs),
        "parameters": declaration.Parameters.model_json_schema(),
        "presets": {name: preset.model_dump(mode="json") for name, preset in declaration.presets.items()},
    }
