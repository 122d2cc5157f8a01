from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.models import Dataset
from ml.choices import JobState

from .snapshot import Snapshot


class TrainingJob(models.Model):
    """One training run: what was asked for, how far it is, and what came of it."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="training_jobs")
    snapshot = models.ForeignKey(Snapshot, models.PROTECT, related_name="jobs")
    method = models.CharField(max_length=40)
    preset = models.CharField(max_length=40, blank=True)
    parameters = models.JSONField(default=dict)
    folds = models.PositiveSmallIntegerField(default=0, help_text="0: one grouped hold-out split.")
    seed = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED, db_index=True)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    stage_text = models.CharField(max_length=200, blank=True)
    curves = models.JSONField(default=dict, help_text="{series: [[step, value], …]}")
    log = models.TextField(blank=True)
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    is_cancel_requested = models.BooleanField(default=False)
    worker = models.CharField(max_length=120, blank=True)
    # A message to the workers can be lost with the broker; a queued job is asked for again after a while.
    asked_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.method} on {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("training_job", args=[self.pk])

    @property
    def is_finished(self) -> bool:
        return self.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
