"""Images that come over Redis: frames for push stations, and bench inspections with an answer."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from inspection.bus import inbox
from inspection.line.frames import Frame, frame_from_bytes
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
        if refused := inbox.take_refused(self._slug):
            self._alarm(
                f"{refused} times images were refused, because as many as the line takes were waiting"
            )
        if entry is None:
            return
        if entry.kind == "frame":
            self._push(entry)
        elif entry.age_s <= STALE_S:
            self._bench.submit(self._inspect, entry)
        else:
            logger.warning("an inspection that was asked for %.0f s ago is left out", entry.age_s)

    def stop(self) -> None:
        self._bench.shutdown(wait=False, cancel_futures=True)

    def _push(self, entry: inbox.Entry) -> None:
        """A frame counts from when it was sent; one that was on its way for too long is its part's error."""
        arrived_s = time.monotonic() - entry.age_s
        for station, sent in entry.frames.items():
            if entry.age_s > STALE_S:
                self._alarm(f"frames for station {station} came {entry.age_s:.0f} s after they were sent")
                frame = Frame(image=None, name=sent["name"], error=f"on its way for {entry.age_s:.0f} s")
            else:
                frame = frame_from_bytes(sent["content"], sent["name"])
            frame = replace(frame, arrived_s=arrived_s, trigger_sequence=entry.trigger_sequence)
            try:
                is_taken = self._runtime.push(station, frame)
            except (KeyError, TypeError) as error:
                logger.warning("a frame for %s is left out: %s", station, error)
                continue
            if not is_taken:
                self._alarm(f"frames for station {station} come faster than parts are judged")

    def _alarm(self, message: str) -> None:
        self._runtime.alarms.raise_alarm("push", message, lasts=False)

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
