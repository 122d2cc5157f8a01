"""Which method for a dataset?"""

from dataclasses import asdict

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Dataset
from ml.selectors.advice import advice_on


class ProposedMethodSerializer(serializers.Serializer):
    method = serializers.CharField()
    title = serializers.CharField()
    reason = serializers.CharField()
    caution = serializers.CharField(help_text="What to mind; often empty.")


class OpeningSerializer(serializers.Serializer):
    method = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField(help_text="What to add, and what the method would then bring.")


class AdviceSerializer(serializers.Serializer):
    proposals = ProposedMethodSerializer(many=True, help_text="The best first, at most two.")
    openings = OpeningSerializer(many=True)


class DatasetAdvice(APIView):
    @extend_schema(responses=AdviceSerializer)
    def get(self, request: Request, slug: str) -> Response:
        """The methods to begin with on this dataset, with the reason, and what more data would open."""
        return Response(asdict(advice_on(get_object_or_404(Dataset, slug=slug))))
