from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """What a person may do; each role may do all that the roles before it may."""

    OPERATOR = "operator", _("Operator")
    QUALITY = "quality", _("Quality engineer")
    ENGINEER = "engineer", _("Line engineer")
    ADMIN = "admin", _("Administrator")

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class LabelHow(models.TextChoices):
    KEYBOARD = "keyboard", _("Keyboard")
    IMPORT = "import", _("Import")
    CLUSTER = "cluster", _("Cluster")
    REVIEW = "review", _("Review")
    API = "api", _("API")
    UNDO = "undo", _("Undo")


class ImportState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


class ImportLayout(models.TextChoices):
    AUTO = "auto", _("Find out")
    CSV = "csv", _("labels.csv")
    FOLDERS = "folders", _("One folder per class")
    MVTEC = "mvtec", _("MVTec AD")
    KOLEKTOR = "kolektor", _("KolektorSDD")
    PLAIN = "plain", _("Images without labels")


class RemarkKind(models.TextChoices):
    REFUSED = "refused", _("Refused")
    DUPLICATE = "duplicate", _("Byte-identical")
