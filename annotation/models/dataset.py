from django.conf import settings
from django.db import models
from django.urls import reverse

OK_CLASS_NAME = "OK"
NG_CLASS_NAME = "NG"


class Dataset(models.Model):
    """Images of one product and surface."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=120, unique=True)
    description = models.TextField(blank=True)
    is_synthetic = models.BooleanField(default=False, help_text="Made by a generator, not by a camera.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("dataset", args=[self.slug])


class LabelClass(models.Model):
    """A class of one dataset: OK (number 0) or a defect type (1 and up, the number the PLC is told)."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="classes")
    name = models.CharField(max_length=60)
    number = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["number"]
        verbose_name_plural = "label classes"
        constraints = [
            models.UniqueConstraint(fields=["dataset", "name"], name="label_class_name_once_per_dataset"),
            models.UniqueConstraint(fields=["dataset", "number"], name="label_class_number_once_per_dataset"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_ok(self) -> bool:
        return self.number == 0
