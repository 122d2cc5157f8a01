from django.conf import settings
from django.db import models

from annotation.choices import LabelHow

from .dataset import LabelClass
from .image import Image


class Label(models.Model):
    """One person's word on one image. Append-only: the latest of each author counts."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="labels")
    # Null withdraws the author's earlier word.
    label_class = models.ForeignKey(LabelClass, models.RESTRICT, null=True, blank=True, related_name="labels")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="labels"
    )
    how = models.CharField(max_length=16, choices=LabelHow)
    is_adjudication = models.BooleanField(default=False, help_text="Settles a disagreement between authors.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.label_class or 'withdrawn'}"
