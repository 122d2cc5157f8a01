from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from .version import ModelVersion


class OperatingPoint(models.Model):
    """How strict a model version is: its thresholds, who set them, and why. Immutable."""

    model_version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="operating_points")
    ng_at = models.FloatField(help_text="A score at or above this is NG.")
    review_from = models.FloatField(null=True, blank=True, help_text="From here up to NG: REVIEW.")
    reason = models.CharField(max_length=400)
    expected = models.JSONField(
        default=dict, help_text="Escapes and overkill expected at ng_at, with intervals."
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(review_from__isnull=True) | models.Q(review_from__lt=models.F("ng_at")),
                name="review_below_ng",
                violation_error_message=_("REVIEW must begin below the NG threshold."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_version} NG at {self.ng_at:.4f}"

    def get_absolute_url(self) -> str:
        return reverse("model_version", args=[self.model_version_id])
