"""From a line's journal to the database: once, whatever the order and however often it is tried."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max

from annotation.models import Image
from inspection.choices import PartOrigin, Verdict
from inspection.line.records import Record
from inspection.models import Deployment, Line, Part, Station, Tally, View

logger = logging.getLogger(__name__)

_TEXT = 400


@dataclass(frozen=True, kw_only=True)
class DeliveredPart:
    """A part that is new in the database, with its views."""

    part: Part
    views: list[View]


def _leave_conflicts(sequences: list[int]) -> None:
    """Where nobody is to be told beyond the log."""


@transaction.atomic
def deliver_records(
    *,
    line: Line,
    records: Sequence[Record],
    on_conflict: Callable[[list[int]], None] = _leave_conflicts,
) -> list[DeliveredPart]:
    """Stores the parts that the database does not have yet.

    A part is known by line and sequence, so a record that comes again changes nothing. One that has another
    part's sequence (a journal was lost) is not stored over it: it is logged and told.

    Args:
        line: whose journal it is.
        records: part records, each with its `answer` (`inspection.line.delivery`), in any order.
        on_conflict: is told the sequences that the database has of other parts, in order.
    """
    known = dict(
        line.parts.filter(sequence__in=[record["sequence"] for record in records]).values_list(
            "sequence", "hash"
        )
    )
    conflicts = {record["sequence"] for record in records if _is_conflict(record, known)}
    if conflicts:
        logger.error("%s: other parts have the numbers %s already", line, sorted(conflicts))
        on_conflict(sorted(conflicts))
    by_sequence = {record["sequence"]: record for record in records if record["sequence"] not in known}
    fresh = [by_sequence[sequence] for sequence in sorted(by_sequence)]
    if not fresh:
        return []
    deployments = _deployments(fresh)
    parts = Part.objects.bulk_create([_part(line, record, deployments) for record in fresh])
    views = _store_views(line, parts, fresh)
    _count(line, parts)
    return [DeliveredPart(part=part, views=of_part) for part, of_part in zip(parts, views, strict=True)]


def _is_conflict(record: Record, known: dict[int, str]) -> bool:
    return known.get(record["sequence"], record["hash"]) != record["hash"]


def last_sequence(line: Line) -> int | None:
    """The highest sequence that the database has of a line."""
    highest: int | None = line.parts.aggregate(highest=Max("sequence"))["highest"]
    return highest


def _deployments(records: list[Record]) -> dict[int | None, Deployment]:
    wanted = {record["deployment"] for record in records} - {None}
    return dict(Deployment.objects.select_related("operating_point").in_bulk(wanted))


def _part(line: Line, record: Record, deployments: dict[int | None, Deployment]) -> Part:
    begun_at = datetime.fromisoformat(record["triggered_at"])
    judged_at = datetime.fromisoformat(record["judged_at"])
    part = Part(
        line=line,
        sequence=record["sequence"],
        trigger_sequence=record["trigger_sequence"],
        origin=record["origin"],
        serial=record["serial"][:40],
        lot=record["lot"][:40],
        verdict=record["verdict"],
        judged_verdict=record["judged_verdict"],
        error_code=record["error_code"],
        error=record["error"][:_TEXT],
        score=record["score"],
        score_rank=record["score_rank"],
        defect_class=(record["defect_class"] or "")[:60],
        ng_at=record["ng_at"],
        review_from=record["review_from"],
        deployment=deployments.get(record["deployment"]),
        captured_at=begun_at,
        judged_at=judged_at,
        total_ms=(judged_at - begun_at).total_seconds() * 1000,
        judge_ms=record["judge_ms"],
        durations_ms={name: record[f"{name}_ms"] for name in ("acquire", "wait", "judge", "journal")},
        previous_hash=record["previous_hash"],
        hash=record["hash"],
    )
    if answer := record.get("answer"):
        _apply_answer(part, answer)
    return part


def _apply_answer(part: Part, answer: Record) -> None:
    """What the PLC was given is what the part counts as: a verdict that came too late passed nothing."""
    if answer["given"] is not None:
        part.given = part.verdict = Verdict(answer["given"])
        part.error_code = answer["error_code"]
    if answer["reason"]:
        part.error = answer["reason"][:_TEXT]
    if answer["total_ms"] is not None:
        part.durations_ms["answer"] = round(max(0.0, answer["total_ms"] - part.total_ms), 3)
        part.total_ms = answer["total_ms"]


def _store_views(line: Line, parts: list[Part], records: list[Record]) -> list[list[View]]:
    stations = _stations(line, {view["station"] for record in records for view in record["views"]})
    images = _known_images(record["views"] for record in records)
    views = [
        [_view(part, stations[view["station"]], view, images) for view in record["views"]]
        for part, record in zip(parts, records, strict=True)
    ]
    View.objects.bulk_create([view for of_part in views for view in of_part])
    return views


def _view(part: Part, station: Station, record: dict[str, Any], images: set[int]) -> View:
    image_id = _image_id(record)
    captured_at = record["captured_at"]
    return View(
        part=part,
        station=station,
        verdict=record["verdict"],
        error_code=record["error_code"],
        error=record["error"][:_TEXT],
        score=record["score"],
        defect_class=(record["defect_class"] or "")[:60],
        frame_name=(record["frame_name"] or "")[:_TEXT],
        image_id=image_id if image_id in images else None,
        closest_ok_id=closest if (closest := record.get("closest_ok")) in images else None,
        frame_path=record["frame_path"] or "",
        map_path=record["map_path"] or "",
        map_max=record["map_max"] or 1.0,
        map_box=record["map_box"] or [],
        captured_at=datetime.fromisoformat(captured_at) if captured_at else None,
    )


def _image_id(view: dict[str, Any]) -> int | None:
    reference = view["reference"]
    return int(reference) if reference and reference.isdecimal() else None


def _known_images(views_of_parts: Iterable[Iterable[dict[str, Any]]]) -> set[int]:
    named = {
        image_id
        for views in views_of_parts
        for view in views
        for image_id in (_image_id(view), view.get("closest_ok"))
        if image_id is not None
    }
    return set(Image.objects.filter(pk__in=named).values_list("pk", flat=True)) if named else set()


def _stations(line: Line, names: set[str]) -> dict[str, Station]:
    """The stations by name; one that was removed while the line still ran with it comes back."""
    stations = {station.name: station for station in line.stations.all()}
    for name in sorted(names - stations.keys()):
        free = next(number for number in range(len(stations) + 1) if number not in _positions(stations))
        stations[name] = Station.objects.create(line=line, name=name, position=free)
    return stations


def _positions(stations: dict[str, Station]) -> set[int]:
    return {station.position for station in stations.values()}


def _count(line: Line, parts: list[Part]) -> None:
    """Bench inspections are no production."""
    tally = Counter(
        (part.judged_at.replace(second=0, microsecond=0), part.verdict)
        for part in parts
        if part.origin == PartOrigin.LINE
    )
    for minute in {minute for minute, _ in tally}:
        counts = {verdict.lower(): tally[minute, verdict] for verdict in Verdict.values}
        row, is_new = Tally.objects.get_or_create(line=line, minute=minute, defaults=counts)
        if not is_new:
            Tally.objects.filter(pk=row.pk).update(**{name: F(name) + more for name, more in counts.items()})
