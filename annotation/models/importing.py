from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.choices import ImportLayout, ImportState

from .dataset import Dataset


class ImportJob(models.Model):
    """One run of bringing files into a dataset, with what came of every file that did not go in."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="imports")
    source = models.CharField(max_length=1000, help_text="Folder or ZIP on the server.")
    source_name = models.CharField(max_length=255, help_text="As the user knows it.")
    is_upload = models.BooleanField(default=False)
    layout = models.CharField(max_length=16, choices=ImportLayout, default=ImportLayout.AUTO)
    state = models.CharField(max_length=16, choices=ImportState, default=ImportState.QUEUED)
    files_total = models.PositiveIntegerField(default=0)
    files_done = models.PositiveIntegerField(default=0)
    images_added = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0, help_text="Byte-identical to an image already there.")
    labels_added = models.PositiveIntegerField(default=0)
    refused = models.JSONField(default=list, help_text="[{file, reason}] for every file that can't be used.")
    error = models.TextField(blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.source_name} → {self.dataset}"

    def get_absolute_url(self) -> str:
        return reverse("import", args=[self.dataset.slug, self.pk])
