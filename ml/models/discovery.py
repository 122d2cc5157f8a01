from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.models import Dataset
from ml.choices import DiscoveryAmong, JobState

from .version import ModelVersion


class Discovery(models.Model):
    """Types of defects that a model version told apart among images which nobody had sorted.

    Once done, `points` is what a person labels by: choose points on the map, name them, and the images are
    labelled.
    """

    model_version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="discoveries")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="discoveries")
    among = models.CharField(max_length=16, choices=DiscoveryAmong, default=DiscoveryAmong.NOT_OK)
    types_asked = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Their number; empty for the best silhouette."
    )
    types_of = models.ForeignKey(
        "self",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="An earlier one whose types are kept; empty to find them anew.",
    )
    seed = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    stage_text = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    points = models.JSONField(
        default=list, help_text="A row an image: image, x, y, type, class (empty: unlabelled), norm."
    )
    findings = models.JSONField(default=dict, help_text="See ml.services.discovery.")
    worker = models.CharField(max_length=120, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "discoveries"

    def __str__(self) -> str:
        return f"types of {self.dataset} by {self.model_version}"

    def get_absolute_url(self) -> str:
        return f"{reverse('model_version', args=[self.model_version_id])}?discovery={self.pk}#discovery"

    @property
    def is_finished(self) -> bool:
        return self.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED}
