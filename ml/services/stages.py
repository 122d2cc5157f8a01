"""A model version's stage: the one thing of it that may change."""

from django.db import transaction

from annotation.models import User
from annotation.services import audit
from ml.choices import ModelStage
from ml.models import ModelVersion


@transaction.atomic
def change_stage(*, model_version: ModelVersion, stage: ModelStage, actor: User) -> ModelVersion:
    """Moves a model version to a stage, and writes down who did."""
    before = ModelVersion.objects.select_for_update().get(pk=model_version.pk).stage
    if before != stage:
        ModelVersion.objects.filter(pk=model_version.pk).update(stage=stage)
        audit.record(
            actor=actor,
            action="model.stage_changed",
            target=model_version,
            details={"from": before, "to": str(stage)},
        )
    model_version.stage = stage
    return model_version
