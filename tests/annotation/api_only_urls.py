from django.urls import include, path

from annotation.api.urls import urlpatterns as annotation_api

urlpatterns = [path("api/v1/", include(annotation_api))]
