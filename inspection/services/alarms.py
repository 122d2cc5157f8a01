"""Alarms of a line: raised once, cleared once, acknowledged by a person."""

from datetime import datetime

from django.db import transaction

from annotation.models import User
from annotation.services import audit
from inspection.models import Alarm, Line


def raise_alarm(*, line: Line, code: str, message: str, raised_at: datetime) -> tuple[Alarm, bool]:
    """Writes an alarm down, unless one of its code is raised already.

    Returns:
        The alarm, and whether it is new.
    """
    return Alarm.objects.get_or_create(
        line=line,
        code=code,
        cleared_at=None,
        defaults={"message": message[:400], "raised_at": raised_at},
    )


def clear_alarm(*, line: Line, code: str, cleared_at: datetime) -> list[Alarm]:
    """What was raised under this code is over; gives the alarms that this cleared."""
    with transaction.atomic():
        alarms = list(line.alarms.select_for_update().filter(code=code, cleared_at=None))
        line.alarms.filter(pk__in=[alarm.pk for alarm in alarms]).update(cleared_at=cleared_at)
    return alarms


def acknowledge_alarm(*, alarm: Alarm, by: User) -> None:
    """A person has seen it; it stays raised until its cause is gone."""
    alarm.acknowledged_by = by
    alarm.save(update_fields=["acknowledged_by"])
    audit.record(actor=by, action="alarm.acknowledged", target=alarm)
