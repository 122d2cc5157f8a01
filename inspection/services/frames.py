"""Images from outside to a running line: pushed frames, and bench inspections."""

from collections.abc import Mapping
from typing import Any

import redis
from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.decoding import decode_image, inspect_image
from annotation.errors import DomainError
from inspection.bus import inbox, liveness
from inspection.choices import SourceKind
from inspection.line.records import Record
from inspection.models import Line, Station

from .deployments import how_to_start

ANSWER_TIMEOUT_S = 25.0


class LineNotRunning(DomainError):
    code = "line_not_running"
    status = 503

    def __init__(self, line: Line) -> None:
        super().__init__(
            _("%(line)s is not running; start it with: %(command)s")
            % {"line": line, "command": how_to_start(line)}
        )


class LineFull(DomainError):
    """The line has more images waiting than it judges; nothing of this one was kept."""

    code = "line_full"
    status = 429


class ImagesTooLong(DomainError):
    code = "images_too_long"
    status = 413


class NoPushStation(DomainError):
    code = "no_push_station"


class NoAnswer(DomainError):
    code = "no_answer"
    status = 504


class NoInspection(DomainError):
    code = "not_inspected"
    status = 503


def check_image(content: bytes) -> None:
    """Whether these bytes are an image that is taken, to the last pixel.

    Raises:
        ImageRefused: they are not, with the reason in words.
    """
    limits = {"max_pixels": settings.MAX_IMAGE_PIXELS, "max_bytes": settings.MAX_IMAGE_BYTES}
    inspect_image(content, **limits)
    decode_image(content, **limits)


def push_frame(
    *, line: Line, station: Station, name: str, content: bytes, trigger_sequence: int | None = None
) -> None:
    """Hands a checked image to a push station of a running line.

    Args:
        line: running.
        station: one whose images come by push.
        name: the file's, for the record.
        content: the image's bytes, as `check_image` took them.
        trigger_sequence: the PLC's trigger that it belongs to, where the camera knows.

    Raises:
        NoPushStation: the station has a source of its own.
        LineNotRunning: nobody would take it.
        LineFull: the line does not keep up.
    """
    if station.source != SourceKind.PUSH:
        raise NoPushStation(
            _("Station %(name)s takes its images from: %(source)s. Only a push station takes images here.")
            % {"name": station.name, "source": station.get_source_display()}
        )
    _put(line, kind="frame", frames={station.name: (name, content)}, trigger_sequence=trigger_sequence)


def inspect_images(
    *, line: Line, frames: Mapping[str, tuple[str, bytes]], serial: str = ""
) -> dict[str, Any]:
    """Asks a running line for its verdict on images, outside of its own parts; the PLC is told nothing.

    Args:
        line: running.
        frames: name and bytes by station, one or more of the line's.
        serial: for the record.

    Returns:
        Verdict, score, thresholds, sequence, model version, and per view its score and URLs.

    Raises:
        LineNotRunning, LineFull: see `push_frame`.
        ImagesTooLong: together they are longer than a line takes at once.
        NoInspection: the line could not judge.
        NoAnswer: the line took it and said nothing.
    """
    reply = _put(line, kind="inspect", frames=frames, serial=serial)
    try:
        answer = inbox.wait_for_answer(reply, timeout_s=ANSWER_TIMEOUT_S)
    except redis.RedisError as error:
        raise LineNotRunning(line) from error
    if answer is None:
        raise NoAnswer(
            _("%(line)s gave no answer within %(seconds)d s.") % {"line": line, "seconds": ANSWER_TIMEOUT_S}
        )
    if "error" in answer:
        raise NoInspection(answer["error"])
    return _inspection(line, answer["record"])


def _put(line: Line, **entry: Any) -> str:
    if liveness.line_status(line.slug) is None:
        raise LineNotRunning(line)
    try:
        reply = inbox.put(line.slug, **entry)
    except inbox.EntryTooLong as error:
        raise ImagesTooLong(
            _("Together the images have more than %(limit).0f MB; inspect them one by one.")
            % {"limit": inbox.ENTRY_BYTES / 1e6}
        ) from error
    except redis.RedisError as error:
        raise LineNotRunning(line) from error
    if reply is None:
        raise LineFull(
            _("%(line)s has as many images waiting as it takes; send more slowly.") % {"line": line}
        )
    return reply


def _inspection(line: Line, record: Record) -> dict[str, Any]:
    def url(name: str, view: dict[str, Any]) -> str:
        return reverse(name, args=[line.slug, record["sequence"], view["station"]])

    return {
        "line": line.slug,
        "sequence": record["sequence"],
        "url": reverse("part", args=[line.slug, record["sequence"]]),
        "serial": record["serial"],
        "verdict": record["verdict"],
        "score": record["score"],
        "threshold": record["ng_at"],
        "review_from": record["review_from"],
        "error_code": record["error_code"],
        "error": record["error"],
        "defect_class": record["defect_class"] or "",
        "deployment": record["deployment"],
        "model_version": record["model_version"],
        "judge_ms": record["judge_ms"],
        "views": [
            {
                "station": view["station"],
                "verdict": view["verdict"],
                "score": view["score"],
                "error": view["error"],
                "frame_url": url("part_frame", view) if view["frame_path"] else "",
                "map_url": url("part_map", view) if view["map_path"] else "",
                "map_max": view["map_max"],
                "map_box": view["map_box"] or [],
            }
            for view in record["views"]
        ],
    }
