from django.db import models

from .line import Line


class Tally(models.Model):
    """A line's parts of one minute by verdict, so that a yield costs rows of minutes, not of parts."""

    line = models.ForeignKey(Line, models.CASCADE, related_name="tallies")
    minute = models.DateTimeField()
    ok = models.PositiveIntegerField(default=0)
    ng = models.PositiveIntegerField(default=0)
    review = models.PositiveIntegerField(default=0)
    error = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-minute"]
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(fields=["line", "minute"], name="one_tally_per_line_and_minute")
        ]

    def __str__(self) -> str:
        return f"{self.line} {self.minute:%Y-%m-%d %H:%M}"
