from django.db import models
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    OK = "OK", "OK"
    NG = "NG", "NG"
    REVIEW = "REVIEW", "REVIEW"
    ERROR = "ERROR", "ERROR"


class PartRule(models.TextChoices):
    ANY = "any", _("NG if any view is NG")
    MAJORITY = "majority", _("NG if most views are NG")


class TriggerMode(models.TextChoices):
    PLC = "plc", _("The PLC counts up a trigger for each part")
    FRAME = "frame", _("Each arriving image is a part")


class PlcProfile(models.TextChoices):
    NONE = "none", _("No PLC")
    SIMPLE = "simple", _("Simple: one coil or register")
    HANDSHAKE = "handshake", _("Handshake")


class PlcOutput(models.TextChoices):
    """What the simple profile sets for every part that may not pass."""

    COIL = "coil", _("Coil")
    REGISTER = "register", _("Holding register")


class SourceKind(models.TextChoices):
    REPLAY = "replay", _("Replay of a dataset")
    PUSH = "push", _("HTTP push")
    FOLDER = "folder", _("Watched folder")


class DeploymentState(models.TextChoices):
    PENDING = "pending", _("Pending")
    LIVE = "live", _("Live")
    FAILED = "failed", _("Failed")
    SUPERSEDED = "superseded", _("Superseded")


class PartOrigin(models.TextChoices):
    LINE = "line", _("Line")
    API = "api", _("Bench inspection")
