from django.conf import settings
from django.db import models

from .line import Line


class Alarm(models.Model):
    """Something wrong on a line, from when it was raised until it cleared."""

    line = models.ForeignKey(Line, models.CASCADE, related_name="alarms")
    code = models.CharField(max_length=40)
    message = models.CharField(max_length=400)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["line", "code"], condition=models.Q(cleared_at__isnull=True), name="alarm_raised_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.line}: {self.message}"
