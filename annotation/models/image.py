from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse

from .dataset import Dataset, LabelClass


class Image(models.Model):
    """One distinct picture of a dataset, stored once under its SHA-256 whatever its names."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="images")
    sha256 = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=400, help_text="The name it first came under.")
    extension = models.CharField(max_length=8)
    height = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    fingerprint = models.CharField(
        max_length=64, blank=True, help_text="Perceptual hash; empty where it has not been taken yet."
    )
    captured_at = models.DateTimeField(null=True, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)
    # The class in force, settled from the append-only labels whenever one is added.
    current_class = models.ForeignKey(LabelClass, models.RESTRICT, null=True, blank=True, related_name="+")
    is_disputed = models.BooleanField(default=False)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="image_content_once_per_dataset")
        ]
        indexes = [
            models.Index(fields=["dataset", "current_class", "id"], name="image_by_class"),
            models.Index(
                fields=["dataset", "id"], name="image_disputed", condition=models.Q(is_disputed=True)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("image", args=[self.pk])

    @property
    def relative_path(self) -> str:
        """Content address below MEDIA_ROOT; two levels of folders keep each folder small."""
        return f"images/{self.sha256[:2]}/{self.sha256[2:4]}/{self.sha256}{self.extension}"

    @property
    def path(self) -> Path:
        return Path(settings.MEDIA_ROOT) / self.relative_path


class ImageSource(models.Model):
    """A file that held an image: where it came from, and which physical part and view it shows."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="sources")
    image = models.ForeignKey(Image, models.CASCADE, related_name="sources")
    name = models.CharField(max_length=400)
    item = models.CharField(max_length=200, blank=True, help_text="The physical part.")
    view = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["image", "name"], name="source_name_once_per_image")]
        indexes = [models.Index(fields=["item", "image"], name="source_by_item")]

    def __str__(self) -> str:
        return self.name
