import queue
import time
from contextlib import contextmanager
from datetime import UTC, datetime

from inspection.line.collector import Collector
from inspection.line.config import PlcConfig, PushSource, StationConfig
from inspection.line.events import AlarmBoard, EventHub
from inspection.line.parts import Inbox
from inspection.line.sources import Push
from inspection.plc.link import Trigger
from inspection.plc.registers import ErrorCode

from ..plc.bench import wait_until
from .factories import frame, line_config


def trigger(sequence, deadline_s=0.3, overlooked=0):
    now_s = time.monotonic()
    return Trigger(
        sequence=sequence,
        serial="",
        received_s=now_s,
        received_at=datetime.now(UTC),
        deadline_s=now_s + deadline_s,
        connection=1,
        overlooked=overlooked,
    )


class Desk:
    """A collector whose triggers and frames come from the test."""

    def __init__(self, tmp_path, **station):
        self.push = Push(PushSource())
        self.triggers = queue.Queue()
        self.inbox = Inbox()
        stations = [StationConfig(name="top", source=PushSource(), **station)]
        config = line_config(tmp_path, trigger="plc", plc=PlcConfig(), stations=stations, depth=2)
        self.alarms = AlarmBoard(EventHub())
        self.collector = Collector(config, {"top": self.push}, self.inbox, self.triggers, self.alarms)

    def part(self, sequence, *, name="", overlooked=0, **tags):
        """The frame that the line takes for a trigger; one of this name comes right after it."""
        self.triggers.put(trigger(sequence, deadline_s=5.0 if name else 0.05, overlooked=overlooked))
        wait_until(self.triggers.empty, "the trigger to be taken")
        if name:
            self.push.push(frame(name=name, **tags))
        return self.inbox.get(5).frames["top"]


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
    assert second.frames["top"].image is None, "it may as well be the first part's, late"


def test_frames_that_come_a_trigger_late_are_no_parts_however_long_it_lasts(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        assert desk.part(1) is None
        late = [desk.part(sequence, name=f"of {sequence - 1}") for sequence in range(2, 6)]
        assert "frames_out_of_step" in desk.alarms.standing
    assert [(one.image, one.error) for one in late] == [(None, "it may be the frame of an earlier part")] * 4


def test_a_frame_of_a_trigger_that_nobody_saw_is_not_the_next_parts(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        assert desk.part(1, name="of 1").image is not None
        late = desk.part(3, name="of 2, late", overlooked=1)
        assert (late.image, late.error) == (None, "it may be the frame of an earlier part")
        assert "frames_out_of_step" in desk.alarms.standing


def test_a_trigger_that_nobody_saw_leaves_no_doubt_where_its_frame_came_in_time(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        desk.part(1, name="of 1")
        desk.push.push(frame(name="of 2"))
        assert desk.part(3, name="of 3", overlooked=1).image is not None


def test_a_late_frame_between_two_triggers_brings_frames_and_triggers_in_step(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        desk.part(1)
        assert desk.part(2, name="of 1").image is None
        desk.push.push(frame(name="of 2"))
        assert desk.part(3, name="of 3").image is not None
        assert "frames_out_of_step" not in desk.alarms.standing
        assert "frame_unused" in desk.alarms.standing


def test_after_a_pause_in_which_any_late_frame_would_have_come_frames_count_again(tmp_path):
    with collecting(tmp_path, early_s=0.0, late_s=0.2) as desk:
        desk.part(1)
        doubtful_s = time.monotonic()
        assert desk.part(2, name="two").image is None
        wait_until(lambda: time.monotonic() > doubtful_s + 0.5, "the pause")
        assert desk.part(3, name="three").image is not None


def test_a_frame_that_carries_its_triggers_sequence_is_never_in_doubt(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        desk.part(1)
        assert desk.part(2, name="two", trigger_sequence=2).image is not None
        assert desk.alarms.standing == {}


def test_the_late_frame_of_an_overrun_part_is_not_the_next_parts(tmp_path):
    with collecting(tmp_path, early_s=0.0) as desk:
        for sequence in range(1, 3):
            desk.push.push(frame(trigger_sequence=sequence))
            desk.triggers.put(trigger(sequence))
        desk.triggers.put(trigger(3))
        wait_until(lambda: desk.collector.overruns == 1, "the overrun")
        desk.inbox.drain()
        assert desk.part(4, name="of 3").image is None


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
