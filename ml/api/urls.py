from rest_framework.routers import SimpleRouter

from .jobs import JobViewSet
from .methods import MethodViewSet
from .operating_points import OperatingPointViewSet
from .versions import ModelVersionViewSet

router = SimpleRouter()
router.register("methods", MethodViewSet, basename="api_method")
router.register("jobs", JobViewSet, basename="api_job")
router.register("model-versions", ModelVersionViewSet, basename="api_model_version")
router.register("operating-points", OperatingPointViewSet, basename="api_operating_point")

urlpatterns = router.urls
