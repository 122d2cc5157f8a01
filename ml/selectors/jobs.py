"""Reads of training jobs."""

from django.db.models import QuerySet

from ml.models import TrainingJob


def jobs_for_list() -> QuerySet[TrainingJob]:
    """Newest first, joined with all that a list shows, without the heavy columns that it does not."""
    return (
        TrainingJob.objects.select_related("dataset", "snapshot", "created_by", "model_version")
        .defer("curves", "log", "snapshot__contents", "model_version__card", "model_version__parity")
        .order_by("-id")
    )


def jobs_for_detail() -> QuerySet[TrainingJob]:
    return TrainingJob.objects.select_related("dataset", "snapshot", "created_by", "model_version").defer(
        "snapshot__contents", "model_version__card", "model_version__parity"
    )
