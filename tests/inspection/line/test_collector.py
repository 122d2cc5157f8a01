import queue
import time
from contextlib import contextmanager
from datetime import UTC, datetime

from inspection.line.collector import Collector
from inspection.line.config import PlcConfig, PushSource, StationConfig
from inspection.line.parts import Inbox
from inspection.line.sources import Push
from inspection.plc.link import Trigger
from inspection.plc.registers import ErrorCode

from ..plc.bench import wait_until
from .factories import frame, line_config


def trigger(sequence, deadline_s=0.3):
    now_s = time.monotonic()
    return Trigger(
        sequence=sequence,
        serial="",
        received_s=now_s,
        received_at=datetime.now(UTC),
        deadline_s=now_s + deadline_s,
        connection=1,
    )


class Desk:
    """A collector whose triggers and frames come from the test."""

    def __init__(self, tmp_path, **station):
        self.push = Push(PushSource())
        self.triggers = queue.Queue()
        self.inbox = Inbox()
        stations = [StationConfig(name="top", source=PushSource(), **station)]
        config = line_config(tmp_path, trigger="plc", plc=PlcConfig(), stations=stations, depth=2)
        self.collector = Collector(config, {"top": self.push}, self.inbox, self.triggers)


@contextmanager
def collecting(tmp_path, **station):
    desk = Desk(tmp_path, **station)
    desk.collector.start()
    try:
        yield desk
    finally:
        desk.collector.stop()


def test_a_frame_that_came_after_the_next_trigger_is_never_the_earlier_parts(tmp_path):
    with collecting(tmp_path, window_s=5.0, early_s=0.0) as desk:
        desk.triggers.put(trigger(1))
        wait_until(lambda: desk.triggers.empty(), "the first trigger to be taken")
        desk.triggers.put(trigger(2, deadline_s=5.0))
        desk.push.push(frame(name="two"))
        first, second = desk.inbox.get(5), desk.inbox.get(5)
    assert (first.trigger.sequence, first.frames["top"]) == (1, None)
    assert (second.trigger.sequence, second.frames["top"].name) == (2, "two")


def test_a_frame_that_came_just_before_its_trigger_was_read_is_its_own(tmp_path):
    with collecting(tmp_path, window_s=0.2, early_s=1.0) as desk:
        desk.push.push(frame(name="one"))
        desk.triggers.put(trigger(1))
        job = desk.inbox.get(5)
    assert job.frames["top"].name == "one"


def test_parts_beyond_the_depth_are_overrun_and_keep_their_place(tmp_path):
    with collecting(tmp_path, early_s=1.0) as desk:
        for sequence in range(1, 5):
            desk.push.push(frame(trigger_sequence=sequence))
            desk.triggers.put(trigger(sequence))
        jobs = wait_until(lambda: len(desk.inbox._parts) == 4 and desk.inbox.drain(), "four")
    assert [job.trigger.sequence for job in jobs] == [1, 2, 3, 4]
    assert [job.error_code for job in jobs] == [0, 0, ErrorCode.OVERRUN, ErrorCode.OVERRUN]


def test_a_camera_that_fails_is_an_internal_error_and_the_next_trigger_is_served(tmp_path):
    with collecting(tmp_path, early_s=1.0) as desk:
        desk.push.is_triggered, desk.push.grab = True, lambda sequence, _: 1 // (sequence - 1)
        desk.triggers.put(trigger(1))
        desk.triggers.put(trigger(2))
        failed, served = desk.inbox.get(5), desk.inbox.get(5)
    assert failed.error_code is ErrorCode.INTERNAL
    assert served.error_code is ErrorCode.NONE
