from django.conf import settings
from django.db import models

from .dataset import Dataset


class Region(models.Model):
    """Where to look on one view, and what to ignore. A change is a new version."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="regions")
    view = models.CharField(max_length=60, blank=True)
    version = models.PositiveIntegerField()
    # Rectangle (top, left, height, width) in pixels of the original image.
    top = models.PositiveIntegerField()
    left = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    ignored = models.JSONField(default=list, blank=True, help_text="Polygons of (x, y) points to ignore.")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["dataset", "view", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset", "view", "version"], name="region_version_once_per_view"
            )
        ]

    def __str__(self) -> str:
        return f"{self.dataset} {self.view} v{self.version}"
