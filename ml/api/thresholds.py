"""The rules that choose a threshold, and what each chooses for a model version."""

from dataclasses import asdict
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ml.errors import NoThresholdPossible
from ml.models import ModelVersion
from ml.services.operating_points import propose_threshold, score_set
from ml.thresholds import RULES, ThresholdRule


class ThresholdRuleSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    needs_ng = serializers.BooleanField(help_text="Whether it takes NG images to choose.")
    parameters = serializers.JSONField(help_text="JSON schema of the rule's parameters.")


class RateSerializer(serializers.Serializer):
    """A count of a number of images, with the rate's 95 % interval (Wilson)."""

    count = serializers.IntegerField()
    of = serializers.IntegerField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class NormalitySerializer(serializers.Serializer):
    count = serializers.IntegerField()
    mean = serializers.FloatField()
    deviation = serializers.FloatField(allow_null=True)
    mean_high = serializers.FloatField(allow_null=True, help_text="Upper end of the mean's 95 % interval.")
    p = serializers.FloatField(allow_null=True, help_text="Of the Shapiro-Wilk test.")
    is_normal = serializers.BooleanField(allow_null=True)
    sentence = serializers.CharField()


class ThresholdChoiceSerializer(serializers.Serializer):
    rule = serializers.CharField()
    value = serializers.FloatField(help_text="A score at or above this is NG.")
    reason = serializers.CharField()
    escapes = RateSerializer()
    overkill = RateSerializer()
    advice = serializers.CharField(help_text="What to know before taking it; empty where nothing is.")
    normality = NormalitySerializer(allow_null=True)
    cost_per_part = serializers.FloatField(allow_null=True)


class ProposalSerializer(serializers.Serializer):
    rule = serializers.CharField()
    choice = ThresholdChoiceSerializer(allow_null=True)
    refused = serializers.CharField(help_text="Why these scores don't allow the rule; empty where they do.")


def _rule_parameters() -> list[OpenApiParameter]:
    """Every rule's parameters, each with the rule that takes it, from the one registry."""
    return [
        OpenApiParameter(
            name,
            type=str if "enum" in entry else float,
            enum=entry.get("enum"),
            default=entry["default"],
            description=f"{rule.title}: {entry['title']}. {entry.get('description', '')}",
        )
        for rule in RULES.values()
        for name, entry in rule.Parameters.model_json_schema().get("properties", {}).items()
    ]


class ThresholdRuleList(APIView):
    """The rules by which a threshold can be chosen. Few and fixed, so not paged."""

    @extend_schema(responses=ThresholdRuleSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([_shown(rule) for rule in RULES.values()])


class ThresholdList(APIView):
    @extend_schema(responses=ProposalSerializer(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """What every rule, with its defaults, chooses from the held-out scores. Nothing is saved."""
        scores = score_set(get_object_or_404(ModelVersion, pk=pk))
        proposals: list[dict[str, Any]] = []
        for name in RULES:
            try:
                choice = propose_threshold(scores=scores, rule=name)
            except NoThresholdPossible as error:
                proposals.append({"rule": name, "choice": None, "refused": str(error)})
            else:
                proposals.append({"rule": name, "choice": asdict(choice), "refused": ""})
        return Response(proposals)


class ThresholdDetail(APIView):
    @extend_schema(responses=ThresholdChoiceSerializer, parameters=_rule_parameters())
    def get(self, request: Request, pk: int, rule: str) -> Response:
        """What one rule chooses from the held-out scores. Nothing is saved."""
        if rule not in RULES:
            raise NotFound(f"There is no rule “{rule}”; there are {', '.join(RULES)}.")
        scores = score_set(get_object_or_404(ModelVersion, pk=pk))
        choice = propose_threshold(scores=scores, rule=rule, parameters=request.query_params.dict())
        return Response(asdict(choice))


def _shown(rule: ThresholdRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "title": rule.title,
        "summary": rule.summary,
        "needs_ng": rule.needs_ng,
        "parameters": rule.Parameters.model_json_schema(),
    }
