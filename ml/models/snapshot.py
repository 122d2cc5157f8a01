from django.db import models

from annotation.models import Dataset


class Snapshot(models.Model):
    """The exact images, labels, groups, regions and split that a job used. Immutable."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="snapshots")
    sha256 = models.CharField(max_length=64, unique=True, help_text="Of the canonical JSON of its contents.")
    contents = models.JSONField()
    ok_count = models.PositiveIntegerField()
    ng_count = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.dataset} {self.sha256[:8]}"
