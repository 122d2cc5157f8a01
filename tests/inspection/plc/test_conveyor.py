from inspection.plc.conveyor import Conveyor, ConveyorConfig
from inspection.plc.registers import ErrorCode, FromPlc, ResultCode, Status, ToPlc

ALIVE = Status.READY | Status.MODEL_LOADED
STEP_S = 0.01


class Belt:
    """A conveyor with a line whose heartbeat beats as long as it is told to."""

    def __init__(self, **options):
        self.events = []
        self.conveyor = Conveyor(ConveyorConfig(period_s=0.1, gate=3, **options), self.events.append)
        self.now_s = 0.0
        self.beat = 0
        self.line = ToPlc(status=ALIVE)

    def run(self, seconds, *, beats=True):
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            self.beat += beats
            line = ToPlc(**{**self.line.__dict__, "heartbeat": self.beat})
            words = self.conveyor.scan(self.now_s, line)
        return words

    def answer(self, sequence, result, error_code=ErrorCode.NONE):
        self.line = ToPlc(
            status=ALIVE | Status.RESULT_VALID, result_sequence=sequence, result=result, error_code=error_code
        )

    def gate(self):
        return [
            (event["part"], event["gate"], event["reason"])
            for event in self.events
            if event["event"] == "part"
        ]


def test_a_part_with_an_ok_in_time_passes_and_is_acknowledged():
    belt = Belt(parts=1)
    belt.run(0.05)
    belt.answer(1, ResultCode.OK)
    words = belt.run(0.4)
    assert belt.gate() == [(1, "passed", "OK")]
    assert FromPlc.decode(words).result_acknowledged == 1
    assert belt.conveyor.is_finished


def test_a_part_without_an_answer_is_rejected():
    belt = Belt(parts=1)
    belt.run(0.5)
    assert belt.gate() == [(1, "rejected", "no answer")]


def test_every_result_but_ok_rejects():
    for result, reason in (
        (ResultCode.NG, "NG"),
        (ResultCode.REVIEW, "REVIEW"),
        (ResultCode.ERROR, "ERROR late"),
    ):
        belt = Belt(parts=1)
        belt.run(0.05)
        belt.answer(1, result, ErrorCode.LATE if result is ResultCode.ERROR else ErrorCode.NONE)
        belt.run(0.4)
        assert belt.gate() == [(1, "rejected", reason)]


def test_an_ok_for_another_part_passes_nothing():
    belt = Belt(parts=1)
    belt.run(0.05)
    belt.answer(2, ResultCode.OK)
    belt.run(0.4)
    assert belt.gate() == [(1, "rejected", "no answer")]


def test_a_result_that_is_not_marked_valid_is_none():
    belt = Belt(parts=1)
    belt.run(0.05)
    belt.line = ToPlc(status=ALIVE, result_sequence=1, result=ResultCode.OK)
    belt.run(0.4)
    assert belt.gate() == [(1, "rejected", "no answer")]


def test_an_old_ok_in_the_registers_does_not_pass_a_part_with_a_repeated_number():
    belt = Belt(parts=2)
    belt.run(0.05)
    belt.answer(1, ResultCode.OK)
    belt.run(0.02)
    belt.conveyor.repeat_sequence()
    belt.run(0.6)
    assert belt.gate() == [(1, "passed", "OK"), (2, "rejected", "no answer")]


def test_an_ok_that_could_be_for_either_of_two_parts_passes_neither():
    belt = Belt(parts=2)
    belt.run(0.05)
    belt.conveyor.repeat_sequence()
    belt.run(0.1)
    belt.answer(1, ResultCode.OK)
    belt.run(0.6)
    assert belt.gate() == [(1, "rejected", "ambiguous"), (2, "rejected", "ambiguous")]


def test_the_belt_stops_when_the_lines_heartbeat_stops_and_starts_with_it():
    belt = Belt()
    belt.run(0.3)
    entered = belt.conveyor.entered
    belt.run(1.6, beats=False)
    stopped_at = belt.conveyor.entered
    belt.run(5.0, beats=False)
    assert belt.conveyor.entered == stopped_at
    assert not belt.conveyor.is_moving
    belt.run(0.3)
    assert belt.conveyor.entered > stopped_at > entered


def test_the_belt_does_not_start_before_the_line_is_ready():
    belt = Belt()
    belt.line = ToPlc(status=Status(0))
    belt.run(1.0)
    assert belt.conveyor.entered == 0


def test_a_skipped_number_leaves_a_gap():
    belt = Belt()
    belt.conveyor.skip_sequence()
    assert FromPlc.decode(belt.run(0.05)).trigger_sequence == 2


def test_truth_is_the_same_for_the_same_seed_and_has_the_asked_share():
    truths = []
    for _ in range(2):
        belt = Belt(ng_rate=0.3, seed=4)
        belt.run(60.0)
        truths.append([event["truth"] for event in belt.events if event["event"] == "part"])
    assert truths[0] == truths[1]
    assert 0.2 < truths[0].count("NG") / len(truths[0]) < 0.4
