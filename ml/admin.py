from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from annotation.admin import ReadOnlyAdmin

from .models import ModelVersion, OperatingPoint, Snapshot, TrainingJob


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "sha256", "ok_count", "ng_count", "created_at"]
    list_filter = ["dataset"]
    list_select_related = ["dataset"]
    # Megabytes of JSON for a large dataset; the REST API and the artefact's card name it by its hash.
    exclude = ["contents"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("contents")


@admin.register(TrainingJob)
class TrainingJobAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "dataset",
        "method",
        "preset",
        "state",
        "progress",
        "attempts",
        "created_by",
        "created_at",
    ]
    list_filter = ["state", "method", "dataset"]
    list_select_related = ["dataset", "created_by"]
    exclude = ["curves"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "method", "stage", "artefact", "created_at"]
    list_filter = ["stage", "method", "dataset"]
    list_select_related = ["dataset"]


@admin.register(OperatingPoint)
class OperatingPointAdmin(ReadOnlyAdmin):
    list_display = ["id", "model_version", "ng_at", "review_from", "reason", "author", "created_at"]
    list_select_related = ["model_version__dataset", "author"]
    search_fields = ["reason"]
