from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.models import Dataset, Image
from ml.choices import ModelStage, ScoreSplit

from .job import TrainingJob


class ModelVersion(models.Model):
    """A trained model: its artefact, its card, its measured figures. Immutable but for its stage.

    The primary key is the version number that the PLC sees (32 bits).
    """

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="model_versions")
    job = models.OneToOneField(TrainingJob, models.PROTECT, related_name="model_version")
    method = models.CharField(max_length=40)
    artefact = models.CharField(max_length=200, help_text="Folder name below the artefact folder.")
    card = models.JSONField(default=dict)
    evaluation = models.JSONField(
        default=dict, help_text="The evaluation report, without its list of images."
    )
    parity = models.JSONField(default=dict)
    stage = models.CharField(max_length=16, choices=ModelStage, default=ModelStage.CANDIDATE)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("model_version", args=[self.pk])

    @property
    def artefact_path(self) -> Path:
        return Path(settings.ARTEFACT_DIR) / self.artefact


class ImageScore(models.Model):
    """The score that a model version gave an image of its snapshot."""

    model_version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="scores")
    image = models.ForeignKey(Image, models.PROTECT, related_name="+")
    is_ng = models.BooleanField(help_text="As labelled in the snapshot.")
    class_name = models.CharField(max_length=60)
    score = models.FloatField()
    probabilities = models.JSONField(
        null=True, blank=True, help_text="One for each of the card's classes, where the method has classes."
    )
    fold = models.SmallIntegerField(default=0)
    split = models.CharField(max_length=16, choices=ScoreSplit)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["model_version", "image"], name="one_score_per_version_and_image")
        ]

    def __str__(self) -> str:
        return f"{self.model_version_id}/{self.image_id}: {self.score:.4f}"
