from django.urls import path

from .deployments import AlarmList, DeploymentDetail, DeploymentList
from .frames import FrameList, Inspect
from .lines import LineDetail, LineList, LineSummary
from .parts import DispositionList, PartDetail, PartList

urlpatterns = [
    path("lines/", LineList.as_view(), name="api_lines"),
    path("lines/<slug:slug>/", LineDetail.as_view(), name="api_line"),
    path("lines/<slug:slug>/summary/", LineSummary.as_view(), name="api_line_summary"),
    path("lines/<slug:slug>/parts/", PartList.as_view(), name="api_line_parts"),
    path("lines/<slug:slug>/parts/<int:sequence>/", PartDetail.as_view(), name="api_part"),
    path(
        "lines/<slug:slug>/parts/<int:sequence>/dispositions/",
        DispositionList.as_view(),
        name="api_dispositions",
    ),
    path("lines/<slug:slug>/stations/<slug:station>/frames/", FrameList.as_view(), name="api_frames"),
    path("lines/<slug:slug>/inspect/", Inspect.as_view(), name="api_inspect"),
    path("deployments/", DeploymentList.as_view(), name="api_deployments"),
    path("deployments/<int:pk>/", DeploymentDetail.as_view(), name="api_deployment"),
    path("alarms/", AlarmList.as_view(), name="api_alarms"),
]
