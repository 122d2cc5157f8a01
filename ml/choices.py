from django.db import models
from django.utils.translation import gettext_lazy as _


class JobState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class ModelStage(models.TextChoices):
    CANDIDATE = "candidate", _("Candidate")
    APPROVED = "approved", _("Approved")
    RETIRED = "retired", _("Retired")


class ScoreSplit(models.TextChoices):
    """Whether the model that gave a score had seen the image."""

    HELD_OUT = "held_out", _("Held out")
    TRAINING = "training", _("Training")


class DiscoveryAmong(models.TextChoices):
    """The images that types of defects are looked for among."""

    NOT_OK = "not_ok", _("NG and unlabelled images")
    NG = "ng", _("NG images")
    UNLABELLED = "unlabelled", _("Unlabelled images")
