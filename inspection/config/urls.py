"""Every address of the product: pages, REST, sockets."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from annotation.account_urls import api_urlpatterns as account_api
from annotation.api.urls import urlpatterns as annotation_api
from inspection.api.urls import urlpatterns as inspection_api
from inspection.routing import websocket_urlpatterns as inspection_sockets
from ml.api.urls import urlpatterns as ml_api
from ml.routing import websocket_urlpatterns as ml_sockets

api_urlpatterns = [
    *account_api,
    *annotation_api,
    *ml_api,
    *inspection_api,
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api_docs"),
]

urlpatterns = [
    path("", include("inspection.urls")),
    path("", include("ml.urls")),
    path("", include("annotation.urls")),
    path("", include("annotation.account_urls")),
    path("api/v1/", include(api_urlpatterns)),
    path("admin/", admin.site.urls),
]

websocket_urlpatterns = [*ml_sockets, *inspection_sockets]
