from django.db import models

from ml.choices import JobState

from .version import ModelVersion


class ServingMeasurement(models.Model):
    """What one machine found out about serving a model version. Another machine or package: another row."""

    model_version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="serving_measurements")
    machine = models.CharField(max_length=16, help_text="See ml.serving.machine.")
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    stage_text = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    measured = models.JSONField(default=dict, help_text="See ml.serving.measured.Measured.")
    worker = models.CharField(max_length=120, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "machine"], name="one_measurement_per_version_and_machine"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_version} on {self.machine}"
