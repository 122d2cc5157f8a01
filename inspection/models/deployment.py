from django.conf import settings
from django.db import models

from inspection.choices import DeploymentState
from ml.models import OperatingPoint

from .line import Line


class Deployment(models.Model):
    """An operating point on a line. Rolling back is deploying an old one again."""

    line = models.ForeignKey(Line, models.PROTECT, related_name="deployments")
    operating_point = models.ForeignKey(OperatingPoint, models.PROTECT, related_name="deployments")
    state = models.CharField(max_length=16, choices=DeploymentState, default=DeploymentState.PENDING)
    engine = models.CharField(max_length=60, blank=True, help_text="What serves it, once live.")
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    live_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["line"],
                condition=models.Q(state=DeploymentState.LIVE),
                name="one_live_deployment_per_line",
            ),
            models.UniqueConstraint(
                fields=["line"],
                condition=models.Q(state=DeploymentState.PENDING),
                name="one_pending_deployment_per_line",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.operating_point} on {self.line}"
