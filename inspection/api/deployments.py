"""Deployments: list, one, make."""

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from inspection import selectors
from inspection.choices import DeploymentState
from inspection.models import Alarm, Deployment
from inspection.services import deployments

from .serializers import (
    AlarmSerializer,
    DeploymentSerializer,
    NewDeploymentAnswerSerializer,
    NewDeploymentSerializer,
)


class DeploymentFilter(filters.FilterSet):
    line = filters.CharFilter(field_name="line__slug")
    state = filters.ChoiceFilter(choices=DeploymentState.choices)

    class Meta:
        model = Deployment
        fields = ["line", "state"]


class DeploymentList(generics.ListAPIView):
    """Deployments, newest first."""

    queryset = selectors.deployments()
    serializer_class = DeploymentSerializer
    filterset_class = DeploymentFilter
    write_role = Role.ENGINEER

    @extend_schema(request=NewDeploymentSerializer, responses={201: NewDeploymentAnswerSerializer})
    def post(self, request: Request) -> Response:
        """Put an operating point on a line. Pending until the line has swapped; rolling back is the same."""
        asked = NewDeploymentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        deployment = deployments.deploy(by=request.user, **asked.validated_data)
        deployment.outlook = deployments.outlook(deployment)
        return Response(NewDeploymentAnswerSerializer(deployment).data, status=status.HTTP_201_CREATED)


class DeploymentDetail(generics.RetrieveAPIView):
    """One deployment, and what became of it."""

    queryset = selectors.deployments()
    serializer_class = DeploymentSerializer


class AlarmFilter(filters.FilterSet):
    line = filters.CharFilter(field_name="line__slug")
    is_raised = filters.BooleanFilter(field_name="cleared_at", lookup_expr="isnull")

    class Meta:
        model = Alarm
        fields = ["line", "is_raised"]


class AlarmList(generics.ListAPIView):
    """Alarms, newest first."""

    queryset = selectors.alarms()
    serializer_class = AlarmSerializer
    filterset_class = AlarmFilter
