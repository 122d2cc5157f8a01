from django.db import models

from ml.choices import JobState

from .job import TrainingJob


class FoldFit(models.Model):
    """One fold of a cross-validated job: who fits it, how far it is, and the scores that came of it.

    It is queued, running or done; that a job failed or was cancelled is said by the job's own row.
    """

    job = models.ForeignKey(TrainingJob, models.CASCADE, related_name="fold_fits")
    fold = models.PositiveSmallIntegerField(help_text="Counted from 0, as in the snapshot.")
    state = models.CharField(max_length=16, choices=JobState, default=JobState.QUEUED)
    progress = models.FloatField(default=0.0, help_text="0 to 1.")
    stage_text = models.CharField(max_length=200, blank=True)
    curves = models.JSONField(default=dict, help_text="{series: [[step, value], …]}")
    outcome = models.JSONField(null=True, blank=True, help_text="Scores of the held-out images, once done.")
    attempts = models.PositiveSmallIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    asked_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["job", "fold"]
        constraints = [models.UniqueConstraint(fields=["job", "fold"], name="one_fit_per_job_and_fold")]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        """As it stands in the log, in names of curves and on the page."""
        return f"Fold {self.fold + 1} of {self.job.folds}"
