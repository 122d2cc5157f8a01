from django.conf import settings
from django.db import models
from django.urls import reverse

from annotation.models import Image, LabelClass
from inspection.choices import PartOrigin, Verdict

from .deployment import Deployment
from .line import Line, Station


class Part(models.Model):
    """One judged part, as the line's journal recorded it."""

    line = models.ForeignKey(Line, models.PROTECT, related_name="parts")
    sequence = models.PositiveBigIntegerField(help_text="The line's own count; never used twice.")
    trigger_sequence = models.PositiveIntegerField(null=True, blank=True, help_text="The PLC's count.")
    origin = models.CharField(max_length=8, choices=PartOrigin, default=PartOrigin.LINE)
    serial = models.CharField(max_length=40, blank=True, db_index=True)
    lot = models.CharField(max_length=40, blank=True)
    verdict = models.CharField(max_length=8, choices=Verdict, help_text="What the part counts as.")
    judged_verdict = models.CharField(
        max_length=8, choices=Verdict, help_text="As judged, also when too late."
    )
    given = models.CharField(
        max_length=8, choices=Verdict, blank=True, help_text="What the PLC was told; blank where nothing was."
    )
    error_code = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=400, blank=True)
    score = models.FloatField(null=True, blank=True)
    score_rank = models.PositiveIntegerField(
        default=0, help_text="0 to 10000: its rank among the scores of OK training images."
    )
    defect_class = models.CharField(max_length=60, blank=True)
    ng_at = models.FloatField(null=True, blank=True)
    review_from = models.FloatField(null=True, blank=True)
    deployment = models.ForeignKey(Deployment, models.PROTECT, null=True, blank=True, related_name="parts")
    captured_at = models.DateTimeField()
    judged_at = models.DateTimeField(db_index=True)
    total_ms = models.FloatField(help_text="Trigger or arrival to result written, ms.")
    judge_ms = models.FloatField(default=0.0, help_text="The network and its map, ms.")
    durations_ms = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-sequence"]
        constraints = [
            models.UniqueConstraint(fields=["line", "sequence"], name="part_sequence_once_per_line")
        ]
        indexes = [models.Index(fields=["line", "verdict", "-sequence"], name="part_by_verdict")]

    def __str__(self) -> str:
        return f"{self.line} #{self.sequence} {self.verdict}"

    def get_absolute_url(self) -> str:
        return reverse("part", args=[self.line.slug, self.sequence])


class View(models.Model):
    """What one station saw of a part, and what the model said of it."""

    part = models.ForeignKey(Part, models.CASCADE, related_name="views")
    station = models.ForeignKey(Station, models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=8, choices=Verdict)
    error_code = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=400, blank=True)
    score = models.FloatField(null=True, blank=True)
    defect_class = models.CharField(max_length=60, blank=True)
    frame_name = models.CharField(max_length=400, blank=True)
    # A replayed image of a dataset, and the frame as the line kept it, below the line's folder.
    image = models.ForeignKey(Image, models.SET_NULL, null=True, blank=True, related_name="+")
    closest_ok = models.ForeignKey(
        Image,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The OK training image it looks most like, where the method tells.",
    )
    frame_path = models.CharField(max_length=300, blank=True)
    map_path = models.CharField(
        max_length=300, blank=True, help_text="8-bit grey PNG below the line's folder."
    )
    map_max = models.FloatField(default=1.0, help_text="The map value that 255 stands for.")
    # Where the map lies on the original image: top, left, height, width in pixels.
    map_box = models.JSONField(default=list)
    captured_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["part", "station"], name="one_view_per_station")]

    def __str__(self) -> str:
        return f"{self.part_id}/{self.station_id}: {self.verdict}"


class Disposition(models.Model):
    """A person's word on a judged part: confirms or overrules its verdict. Append-only."""

    part = models.ForeignKey(Part, models.PROTECT, related_name="dispositions")
    verdict = models.CharField(max_length=8, choices=[(Verdict.OK, "OK"), (Verdict.NG, "NG")])
    label_class = models.ForeignKey(LabelClass, models.PROTECT, null=True, blank=True, related_name="+")
    note = models.CharField(max_length=400, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.part_id}: {self.verdict}"
