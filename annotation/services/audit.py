from typing import Any

from django.db import models

from annotation.models import AuditEntry, User


def record(
    *, actor: User | None, action: str, target: models.Model, details: dict[str, Any] | None = None
) -> AuditEntry:
    """Write down who did what to what. `action` is past tense, dotted: "threshold.saved"."""
    return AuditEntry.objects.create(
        actor=actor,
        action=action,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        target_label=str(target)[:255],
        details=details or {},
    )
