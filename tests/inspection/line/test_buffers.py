import threading

from inspection.line.buffers import FrameBuffer, Window

from .factories import frame


def a_buffer(*frames, depth=8, drops_oldest=True):
    buffer = FrameBuffer(depth, threading.Condition(), drops_oldest=drops_oldest)
    for one in frames:
        buffer.put(one)
    return buffer


def take(buffer, begins_s=10.0, ends_s=10.2, sequence=5):
    window = Window(sequence=sequence, begins_s=begins_s, ends_s=ends_s)
    return buffer.take(lambda: window, until_s=0.0, is_stopping=lambda: False)


def test_a_frame_inside_the_window_is_the_triggers():
    assert take(a_buffer(frame(name="a", arrived_s=10.1))).name == "a"


def test_a_frame_from_before_is_dropped_and_one_from_after_waits_for_its_own_trigger():
    buffer = a_buffer(frame(name="old", arrived_s=9.9), frame(name="next", arrived_s=10.2))
    assert take(buffer) is None
    assert buffer.unused == 1
    assert take(buffer, 10.2, 10.4).name == "next"


def test_two_frames_that_could_be_meant_are_a_bad_frame():
    both = take(a_buffer(frame(arrived_s=10.05), frame(arrived_s=10.1)))
    assert both.image is None
    assert "2 frames" in both.error


def test_a_frame_with_a_sequence_is_matched_by_it_and_never_by_time():
    buffer = a_buffer(
        frame(name="six", arrived_s=10.1, trigger_sequence=6),
        frame(name="five", arrived_s=99.0, trigger_sequence=5),
    )
    assert take(buffer).name == "five"
    assert take(buffer, sequence=6).name == "six"


def test_a_frame_with_the_sequence_that_the_plc_had_before_it_counted_anew_is_not_the_new_parts():
    assert take(a_buffer(frame(name="old five", arrived_s=7.0, trigger_sequence=5))) is None
    assert take(a_buffer(frame(name="just before", arrived_s=9.5, trigger_sequence=5))).name == "just before"


def test_a_frame_that_comes_while_waiting_is_taken():
    buffer = a_buffer()
    threading.Timer(0.01, lambda: buffer.put(frame(name="a", arrived_s=10.1))).start()
    window = Window(sequence=1, begins_s=10.0, ends_s=10.2)
    assert buffer.take(lambda: window, until_s=float("inf"), is_stopping=lambda: False).name == "a"


def test_a_full_buffer_drops_the_oldest_or_refuses_the_newest():
    first, second = frame(name="first", arrived_s=10.0), frame(name="second", arrived_s=10.1)
    dropping = a_buffer(first, depth=1)
    assert dropping.put(second)
    assert take(dropping).name == "second"
    refusing = a_buffer(first, depth=1, drops_oldest=False)
    assert not refusing.put(second)
    assert take(refusing).name == "first"
