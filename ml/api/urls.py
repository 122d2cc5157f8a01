from django.urls import path
from rest_framework.routers import SimpleRouter

from .advice import DatasetAdvice
from .discoveries import DiscoveryViewSet
from .jobs import JobViewSet
from .methods import MethodViewSet
from .operating_points import OperatingPointViewSet
from .thresholds import ThresholdDetail, ThresholdList, ThresholdRuleList
from .versions import ModelVersionViewSet

router = SimpleRouter()
router.register("methods", MethodViewSet, basename="api_method")
router.register("jobs", JobViewSet, basename="api_job")
router.register("discoveries", DiscoveryViewSet, basename="api_discovery")
router.register("model-versions", ModelVersionViewSet, basename="api_model_version")
router.register("operating-points", OperatingPointViewSet, basename="api_operating_point")

urlpatterns = [
    *router.urls,
    path("datasets/<slug:slug>/advice/", DatasetAdvice.as_view(), name="api_dataset_advice"),
    path("threshold-rules/", ThresholdRuleList.as_view(), name="api_threshold_rules"),
    path("model-versions/<int:pk>/thresholds/", ThresholdList.as_view(), name="api_thresholds"),
    path(
        "model-versions/<int:pk>/thresholds/<slug:rule>/",
        ThresholdDetail.as_view(),
        name="api_threshold",
    ),
]
