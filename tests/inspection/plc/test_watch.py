from inspection.plc.watch import Backoff, HeartbeatWatch, SequenceWatch, Step


def test_the_next_number_is_a_trigger_and_a_gap_counts_what_was_missed():
    watch = SequenceWatch(max_gap=100, last=7)
    assert watch.step(7) is Step.SAME
    assert watch.step(8) is Step.NEXT
    assert watch.take(8) == 0
    assert watch.step(11) is Step.GAP
    assert watch.take(11) == 2


def test_the_wrap_is_a_step_like_any_other():
    watch = SequenceWatch(max_gap=100, last=65535)
    assert watch.step(0) is Step.NEXT
    assert watch.take(1) == 1


def test_backwards_and_far_ahead_are_jumps_and_miss_nothing():
    watch = SequenceWatch(max_gap=100, last=500)
    assert watch.step(499) is Step.JUMP
    assert watch.step(601) is Step.JUMP
    assert watch.adopt(3) == 0
    assert watch.step(4) is Step.NEXT


def test_a_reconnection_counts_the_parts_that_passed_meanwhile():
    watch = SequenceWatch(max_gap=100, last=10)
    assert watch.adopt(13) == 3


def test_a_heartbeat_is_missing_after_three_intervals_without_a_change():
    watch = HeartbeatWatch(0.5)
    assert not watch.is_missing(100.0)
    watch.start(0.0)
    watch.observe(5, 0.1)
    watch.observe(6, 1.0)
    assert not watch.is_missing(2.5)
    watch.observe(6, 2.5)
    assert watch.is_missing(2.51)


def test_the_backoff_doubles_to_its_limit_and_starts_over():
    backoff = Backoff(0.1, 5.0)
    assert [round(backoff.next_s(), 1) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 0.1
