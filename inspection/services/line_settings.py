"""Making and changing a line."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.errors import DomainError
from annotation.models import User
from annotation.services import audit
from inspection.bus import wake
from inspection.models import Line, Station, View

from .lines import line_config


class StationInUse(DomainError):
    code = "station_in_use"


@transaction.atomic
def save_line(*, save: Callable[[], Line], by: User, changes: dict[str, Any], is_new: bool) -> Line:
    """Saves a line with its stations, if the line could run with them.

    Args:
        save: writes the checked records and gives the line.
        by: who does it.
        changes: what is changed, for the audit.
        is_new: whether the line is made.

    Raises:
        LineUnusable: with these settings the line could not run; nothing was saved.
        StationInUse: a station with judged parts would go.
    """
    line = save()
    line_config(line)
    audit.record(actor=by, action="line.created" if is_new else "line.changed", target=line, details=changes)
    transaction.on_commit(lambda: wake.knock(line.slug))
    return line


def replace_stations(*, line: Line, stations: Sequence[Mapping[str, Any]]) -> None:
    """Makes a line's stations those given, known by their names. Call within a transaction.

    Raises:
        StationInUse: a station with judged parts would go.
    """
    names = [station["name"] for station in stations]
    for gone in line.stations.exclude(name__in=names):
        if View.objects.filter(station=gone).exists():
            raise StationInUse(
                _("Station %(name)s has judged parts, so it can't be removed.") % {"name": gone.name}
            )
        gone.delete()
    # Positions are unique: what stays is moved out of the way before it is numbered anew.
    for offset, kept in enumerate(line.stations.all()):
        kept.position = 1000 + offset
        kept.save(update_fields=["position"])
    for station in stations:
        Station.objects.update_or_create(line=line, name=station["name"], defaults=dict(station))
