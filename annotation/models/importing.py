from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.choices import ImportLayout, ImportState, RemarkKind

from .dataset import Dataset


class ImportJob(models.Model):
    """One run of bringing files into a dataset.

    The counts are written in the transaction that stores the images they count, so `files_done` says
    exactly where an interrupted run goes on.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="imports")
    source = models.CharField(max_length=1000, help_text="Folder or ZIP on the server.")
    source_name = models.CharField(max_length=255, help_text="As the user knows it.")
    is_upload = models.BooleanField(default=False)
    layout = models.CharField(max_length=16, choices=ImportLayout, default=ImportLayout.AUTO)
    layout_found = models.CharField(max_length=16, choices=ImportLayout, blank=True)
    layout_reason = models.CharField(max_length=400, blank=True, help_text="Why it was read that way.")
    state = models.CharField(max_length=16, choices=ImportState, default=ImportState.QUEUED)
    files_total = models.PositiveIntegerField(default=0)
    files_done = models.PositiveIntegerField(default=0)
    images_added = models.PositiveIntegerField(default=0)
    already_there = models.PositiveIntegerField(
        default=0, help_text="The same content under the same name, brought by an earlier import."
    )
    duplicates = models.PositiveIntegerField(
        default=0, help_text="Byte-identical to an image of another name."
    )
    labels_added = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
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

    @property
    def is_over(self) -> bool:
        return self.state in {ImportState.DONE, ImportState.FAILED}

    @property
    def percent_done(self) -> int:
        return 100 * self.files_done // self.files_total if self.files_total else 0


class ImportRemark(models.Model):
    """What there is to say about one file of an import: why it was refused, or what it is identical to."""

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="remarks")
    kind = models.CharField(max_length=16, choices=RemarkKind)
    file = models.CharField(max_length=400)
    reason = models.CharField(max_length=600)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"
