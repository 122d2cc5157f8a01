from django.urls import path

from .consumers import LineConsumer, OverviewConsumer

websocket_urlpatterns = [
    path("ws/lines/<slug:slug>/", LineConsumer.as_asgi()),
    path("ws/overview/", OverviewConsumer.as_asgi()),
]
