"""Images that come over Redis: frames for push stations, and bench inspections with an answer."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from inspection.bus import inbox
from inspection.line.frames import frame_from_bytes
from inspection.line.records import Record
from inspection.line.runtime import InspectionTimeoutError, LineRuntime

from .feed import LiveFeed

logger = logging.getLogger(__name__)

STALE_S = 10.0
INSPECTION_S = 20.0
_TOLD_S = 2.0
_BENCHES = 2


class Intake:
    """One line's."""

    def __init__(self, slug: str, runtime: LineRuntime, feed: LiveFeed) -> None:
        self._slug = slug
        self._runtime = runtime
        self._feed = feed
        self._bench = ThreadPoolExecutor(_BENCHES, thread_name_prefix="bench")
        self._is_begun = False

    def step(self) -> None:
        """Takes one entry, waited for up to a second.

        Raises:
            redis.RedisError: Redis is away.
        """
        if not self._is_begun:
            inbox.forget(self._slug)
            self._is_begun = True
        entry = inbox.take(self._slug)
        if entry is None:
            return
        if time.time() - entry.sent_at > STALE_S:
            logger.warning("images that were sent %.0f s ago are left out", time.time() - entry.sent_at)
        elif entry.kind == "frame":
            self._push(entry)
        else:
            self._bench.submit(self._inspect, entry)

    def stop(self) -> None:
        self._bench.shutdown(wait=False, cancel_futures=True)

    def _push(self, entry: inbox.Entry) -> None:
        for station, frame in entry.frames.items():
            whole = frame_from_bytes(frame["content"], frame["name"], trigger_sequence=entry.trigger_sequence)
            try:
                is_taken = self._runtime.push(station, whole)
            except (KeyError, TypeError) as error:
                logger.warning("a frame for %s is left out: %s", station, error)
                continue
            if not is_taken:
                self._runtime.alarms.raise_alarm(
                    "push", f"frames for station {station} come faster than parts are judged", lasts=False
                )

    def _inspect(self, entry: inbox.Entry) -> None:
        assert entry.reply is not None  # noqa: S101 - an inspection always asks for an answer
        frames = {
            station: frame_from_bytes(frame["content"], frame["name"])
            for station, frame in entry.frames.items()
        }
        try:
            record = self._runtime.inspect(frames, serial=entry.serial, timeout_s=INSPECTION_S)
        except InspectionTimeoutError:
            self._answer(entry.reply, {"error": "The line was too busy with its own parts; try again."})
        except KeyError as error:
            self._answer(entry.reply, {"error": f"The line runs without a station {error}; start it again."})
        except Exception:
            logger.exception("a bench inspection failed")
            self._answer(entry.reply, {"error": "The inspection failed; the line's log says why."})
        else:
            self._feed.wait_for(record["sequence"], _TOLD_S)
            self._answer(entry.reply, {"record": _told(record)})

    def _answer(self, reply: str, values: dict[str, Any]) -> None:
        try:
            inbox.answer(reply, values)
        except OSError:
            logger.warning("an inspection's answer could not be sent")


def _told(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in {"hash", "previous_hash", "number"}}
