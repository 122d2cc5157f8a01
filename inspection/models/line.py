from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse

from inspection.choices import PartRule, PlcOutput, PlcProfile, SourceKind, TriggerMode


class Line(models.Model):
    """A production line: its parts, its PLC, its deadline."""

    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    is_simulated = models.BooleanField(default=False, help_text="Its parts are not real parts.")
    part_rule = models.CharField(max_length=16, choices=PartRule, default=PartRule.ANY)
    trigger_mode = models.CharField(max_length=8, choices=TriggerMode, default=TriggerMode.PLC)
    deadline_ms = models.PositiveIntegerField(default=1000, help_text="From trigger to result, ms.")
    queue_depth = models.PositiveSmallIntegerField(
        default=2, help_text="Triggers that may wait while one is judged."
    )
    keep_evidence_parts = models.PositiveIntegerField(
        default=50_000, help_text="Images and maps are kept for this many of the latest parts."
    )
    plc_profile = models.CharField(max_length=16, choices=PlcProfile, default=PlcProfile.HANDSHAKE)
    plc_host = models.CharField(max_length=120, default="127.0.0.1")
    plc_port = models.PositiveIntegerField(default=502, validators=[MaxValueValidator(65535)])
    plc_unit = models.PositiveSmallIntegerField(default=1, validators=[MaxValueValidator(247)])
    plc_base_to = models.PositiveIntegerField(default=0, help_text="First register that we write.")
    plc_base_from = models.PositiveIntegerField(default=32, help_text="First register that we read.")
    plc_is_high_word_first = models.BooleanField(default=True, help_text="Word order of 32-bit values.")
    plc_poll_ms = models.PositiveIntegerField(default=10, validators=[MinValueValidator(2)])
    plc_timeout_ms = models.PositiveIntegerField(default=500, validators=[MinValueValidator(20)])
    plc_heartbeat_ms = models.PositiveIntegerField(
        default=250,
        validators=[MinValueValidator(50), MaxValueValidator(500)],
        help_text="Ours counts up this often, ms.",
    )
    plc_watch_ms = models.PositiveIntegerField(
        default=500,
        validators=[MinValueValidator(50), MaxValueValidator(60_000)],
        help_text="The PLC's must change this often, ms; three misses are a fault.",
    )
    plc_output = models.CharField(max_length=8, choices=PlcOutput, default=PlcOutput.COIL)
    plc_output_address = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(65535)])
    plc_pulse_ms = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(60_000)],
        help_text="The output resets itself after this time; blank: the PLC resets it.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("line", args=[self.slug])


class Station(models.Model):
    """One view of the part: a camera, or what stands in for one."""

    line = models.ForeignKey(Line, models.CASCADE, related_name="stations")
    name = models.SlugField(max_length=60)
    position = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(15)], help_text="Its bit in the NG stations register."
    )
    source = models.CharField(max_length=16, choices=SourceKind, default=SourceKind.PUSH)
    source_settings = models.JSONField(
        default=dict,
        blank=True,
        help_text='replay: {"dataset": slug, "parts_per_second": 1.0, "seed": 1}; folder: {"path": text}',
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["line", "name"], name="station_name_once_per_line"),
            models.UniqueConstraint(fields=["line", "position"], name="station_position_once_per_line"),
        ]

    def __str__(self) -> str:
        return f"{self.line}/{self.name}"
