"""The link against the real simulator, in its own process, over real TCP."""

# ruff: noqa: SIM117 - the simulator outlives its line, which nesting shows

import queue
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from inspection.plc.client import PlcLink
from inspection.plc.config import PlcConfig
from inspection.plc.link import PartResult, Trigger
from inspection.plc.registers import Command, ErrorCode, ResultCode, Status, ToPlc, WordOrder

from .bench import RecordingListener, SimulatorProcess, wait_until

READY = Status.READY | Status.MODEL_LOADED


@contextmanager
def linked(simulator, *, deadline_s=0.3, **settings):
    listener = RecordingListener()
    link = PlcLink(PlcConfig(port=simulator.port, **settings), listener, deadline_s=deadline_s)
    link.start()
    try:
        wait_until(lambda: link.state.is_connected, "the connection")
        yield link, listener
    finally:
        link.stop()


@contextmanager
def answering(link, result_of):
    """Answers every trigger with `result_of(trigger)`; None leaves it without a result."""
    stopping, triggers = threading.Event(), []

    def run():
        while not stopping.is_set():
            try:
                trigger = link.triggers.get(timeout=0.05)
            except queue.Empty:
                continue
            triggers.append(trigger)
            result = result_of(trigger)
            if result is not None:
                link.submit(trigger, result)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        link.set_status(READY)
        yield triggers
    finally:
        stopping.set()
        thread.join()


def ok(trigger):
    return PartResult(result=ResultCode.OK, score=1234, model_version=70_000)


@pytest.mark.parametrize(
    "settings",
    [{}, {"sequence_last": True}, {"to_base": 100, "from_base": 200, "word_order": WordOrder.LOW_FIRST}],
    ids=["one write", "sequence last", "other addresses and word order"],
)
def test_every_trigger_gets_its_result_in_order_and_it_is_acknowledged(tmp_path, settings):
    flags = {name: value for name, value in settings.items() if name != "sequence_last"}
    with SimulatorProcess(tmp_path / "log", period_ms=30, parts=20, **flags) as simulator:
        with linked(simulator, **settings) as (link, listener), answering(link, ok) as triggers:
            simulator.wait()
        assert [part["gate"] for part in simulator.parts()] == ["passed"] * 20
        assert [trigger.serial for trigger in triggers] == [part["serial"] for part in simulator.parts()]
        results = simulator.events("result")
        assert [result["sequence"] for result in results] == list(range(1, 21))
        assert {(result["score"], result["model_version"]) for result in results} == {(1234, 70_000)}
        assert [answer.given for answer in listener.answers] == [ResultCode.OK] * 20
        assert link.state.unacknowledged == 0


def test_sequence_numbers_wrap_without_a_missed_part(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=30, parts=6, first_sequence=65532) as simulator:
        with linked(simulator) as (link, _), answering(link, ok):
            simulator.wait()
        assert [part["sequence"] for part in simulator.parts()] == [65533, 65534, 65535, 0, 1, 2]
        assert [part["gate"] for part in simulator.parts()] == ["passed"] * 6
        assert link.state.missed == link.state.jumps == 0


def test_a_part_without_a_result_is_answered_late_at_its_deadline(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, gate=20, parts=3) as simulator:
        with linked(simulator, deadline_s=0.1) as (link, listener):
            with answering(link, lambda trigger: ok(trigger) if trigger.sequence != 2 else None) as triggers:
                wait_until(lambda: len(listener.answers) == 3, "three answers")
                assert not link.submit(triggers[1], ok(triggers[1])), "an answered trigger takes no result"
                simulator.wait()
        assert [part["reason"] for part in simulator.parts()] == ["OK", "ERROR late", "OK"]
        late = listener.answers[1]
        assert (late.given, late.error_code) == (ResultCode.ERROR, ErrorCode.LATE)
        assert 0.1 <= late.answered_s - late.trigger.received_s < 0.25


def test_a_gap_is_counted_and_alarmed_and_the_part_after_it_is_answered(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=30, parts=5) as simulator:
        simulator.control.do("skip")
        with linked(simulator) as (link, listener), answering(link, ok) as triggers:
            simulator.wait()
        assert [trigger.overlooked for trigger in triggers] == [1, 0, 0, 0, 0]
        assert [part["gate"] for part in simulator.parts()] == ["passed"] * 5
        assert link.state.missed == 1
        assert "missed_trigger" in listener.alarms


def test_a_repeated_number_is_no_trigger_and_its_part_is_rejected(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, parts=4) as simulator:
        with linked(simulator) as (link, _), answering(link, ok) as triggers:
            wait_until(lambda: triggers, "the first trigger")
            simulator.control.do("repeat")
            simulator.wait()
        repeated = [part for part in simulator.parts() if part["gate"] == "rejected"]
        assert len(triggers) == 3
        assert len(repeated) >= 1
        assert all(part["result"] is None or part["reason"] == "ambiguous" for part in repeated)


def test_noise_in_the_registers_is_alarmed_and_triggers_nothing(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=10_000, gate=1) as simulator:
        with linked(simulator) as (link, listener), answering(link, ok) as triggers:
            wait_until(lambda: triggers, "the first trigger")
            simulator.control.do("garbage", ms=200)
            wait_until(lambda: link.state.implausible > 5, "noise")
            wait_until(lambda: link.state.trigger_sequence == 1 and not link.waiting, "quiet")
            assert len(triggers) == 1
            assert "plc_implausible" in listener.alarms


@pytest.mark.parametrize("steps", [7, 5000, 65530], ids=["a gap", "a jump ahead", "a jump back"])
def test_one_odd_reading_of_the_sequence_is_not_believed(tmp_path, steps):
    with SimulatorProcess(tmp_path / "log", period_ms=10_000, gate=1) as simulator:
        with linked(simulator) as (link, _), answering(link, ok) as triggers:
            wait_until(lambda: link.state.acknowledged_sequence == 1, "the first part")
            simulator.control.do("glitch", steps=steps)
            wait_until(lambda: not simulator.control.do("state")["has_glitch"], "the glitch")
            before = ToPlc.decode(simulator.control.do("state")["line"]).heartbeat
            wait_until(
                lambda: ToPlc.decode(simulator.control.do("state")["line"]).heartbeat != before, "a heartbeat"
            )
            assert (len(triggers), link.state.missed, link.state.jumps) == (1, 0, 0)
            assert link.state.trigger_sequence == 1


def test_a_sequence_that_stays_where_it_jumped_to_is_taken_up_without_a_trigger(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=10_000, gate=1, first_sequence=500) as simulator:
        with linked(simulator) as (link, listener), answering(link, ok) as triggers:
            wait_until(lambda: triggers, "the first trigger")
            link._watch.last = 40_000
            wait_until(lambda: link.state.jumps == 1, "the jump")
            assert len(triggers) == 1
            assert link.state.missed == 0
            assert "sequence_jump" in listener.alarms


def test_after_a_jump_no_result_of_an_old_number_meets_a_new_part(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=200, gate=20) as simulator:
        with linked(simulator, deadline_s=9.0) as (link, listener):
            with answering(link, lambda trigger: ok(trigger) if trigger.sequence == 1 else None) as triggers:
                wait_until(
                    lambda: link.waiting and link.state.acknowledged_sequence == 1, "a part that waits"
                )
                waiting = triggers[-1]
                link._watch.last = 40_000
                wait_until(lambda: link.state.jumps == 1, "the jump")
                assert not link.submit(waiting, ok(waiting))
                assert listener.answers[-1].reason == "the trigger sequence jumped"
                block = ToPlc.decode(simulator.control.do("state")["line"])
                assert (block.result_sequence, block.result) == (1, ResultCode.NONE)


def test_a_result_that_waited_past_its_deadline_is_written_as_late(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, gate=20, parts=3) as simulator:

        def stall_the_second(trigger):
            if trigger.sequence == 2:
                simulator.control.do("stall", ms=500)
                wait_until(lambda: simulator.control.do("state")["stalled"], "a stalled poll")
            return ok(trigger)

        with linked(simulator, deadline_s=0.1, timeout_s=2.0) as (link, listener):
            with answering(link, stall_the_second):
                wait_until(lambda: len(listener.answers) >= 2, "two answers")
        assert [answer.given for answer in listener.answers[:2]] == [ResultCode.OK, ResultCode.ERROR]
        assert listener.answers[1].error_code is ErrorCode.LATE


def test_nothing_from_before_the_start_is_answered(tmp_path):
    with SimulatorProcess(tmp_path / "log", first_sequence=41, period_ms=60_000) as simulator:
        with linked(simulator) as (link, listener):
            wait_until(lambda: link.state.trigger_sequence == 41, "the current sequence")
            before = ToPlc.decode(simulator.control.do("state")["line"]).heartbeat
            wait_until(
                lambda: ToPlc.decode(simulator.control.do("state")["line"]).heartbeat != before, "a heartbeat"
            )
            assert link.triggers.empty()
            assert not listener.answers


def test_a_lost_connection_is_made_again_and_its_open_trigger_stays_without_an_answer(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=60, gate=10, parts=8) as simulator:
        held = []

        def hold_the_second(trigger):
            if trigger.sequence == 2:
                held.append(trigger)
                simulator.control.do("drop")
                return None
            return ok(trigger)

        with (
            linked(simulator, deadline_s=2.0) as (link, listener),
            answering(link, hold_the_second) as triggers,
        ):
            wait_until(lambda: link.state.connections == 2, "the second connection")
            assert not link.submit(held[0], ok(held[0])), "a result never crosses to another connection"
            simulator.wait()
        lost = [answer for answer in listener.answers if answer.trigger.sequence == 2]
        assert [answer.given for answer in lost] == [ResultCode.NONE]
        assert "connection" in lost[0].reason
        gates = {part["sequence"]: part["gate"] for part in simulator.parts()}
        assert gates[2] == "rejected"
        assert sum(1 + trigger.overlooked for trigger in triggers) == triggers[-1].sequence
        assert gates[8] == "passed"
        assert "plc_connection" in listener.alarms
        assert "plc_connection" in listener.cleared


def test_the_belt_stops_when_the_runtime_is_not_healthy(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50) as simulator:
        with linked(simulator) as (link, listener), answering(link, ok):
            wait_until(lambda: simulator.control.do("state")["is_moving"], "the belt")
            listener.healthy = False
            wait_until(lambda: not simulator.control.do("state")["is_moving"], "the belt's stop")
            assert link.state.is_connected
    assert {"belt_stopped"} == {event["event"] for event in simulator.events("belt_stopped")}


def test_a_missing_plc_heartbeat_is_a_fault_and_judging_goes_on(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50) as simulator:
        with linked(simulator, plc_heartbeat_s=0.3) as (link, listener), answering(link, ok) as triggers:
            wait_until(lambda: triggers, "a trigger")
            simulator.control.do("stop_heartbeat", ms=1500)
            wait_until(lambda: link.state.is_heartbeat_missing, "the fault")
            seen = len(triggers)
            fault = wait_until(
                lambda: ToPlc.decode(simulator.control.do("state")["line"]).status & Status.FAULT,
                "the fault bit",
            )
            assert fault
            wait_until(lambda: len(triggers) > seen, "another trigger during the fault")
            wait_until(lambda: "plc_heartbeat" in listener.cleared, "the end of the fault")


def test_a_stalled_plc_is_given_up_and_connected_to_again(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, gate=10) as simulator:
        with linked(simulator, timeout_s=0.2) as (link, listener), answering(link, ok):
            wait_until(lambda: listener.answers, "an answer")
            simulator.control.do("stall", ms=600)
            wait_until(lambda: link.state.connections >= 2 and link.state.is_connected, "the new connection")
            seen = len(listener.answers)
            wait_until(
                lambda: any(answer.given is ResultCode.OK for answer in listener.answers[seen:]),
                "an OK again",
            )


def test_a_result_that_is_not_acknowledged_is_alarmed_and_the_next_is_given(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=100, gate=3) as simulator:
        with linked(simulator, acknowledge_s=0.0001, poll_s=0.001) as (link, listener), answering(link, ok):
            wait_until(lambda: len(listener.answers) > 5, "answers")
            assert link.state.unacknowledged > 0
    assert "not_acknowledged" in listener.alarms
    assert all(answer.given is ResultCode.OK for answer in listener.answers if answer.given)


class Registers:
    """What a PLC could read after each write."""

    def __init__(self):
        self.words = [0] * 17
        self.seen = []

    def write(self, address, words):
        self.words[address : address + len(words)] = words
        self.seen.append(ToPlc.decode(self.words))


@pytest.mark.parametrize("sequence_last", [False, True])
def test_a_result_that_was_not_read_never_shows_the_next_parts_ok_under_its_number(sequence_last):
    link = PlcLink(PlcConfig(sequence_last=sequence_last), RecordingListener(), deadline_s=9.0)
    link._session = registers = Registers()
    for sequence, result in ((1, ResultCode.NG), (2, ResultCode.OK)):
        now_s, now = time.monotonic(), datetime.now(UTC)
        trigger = Trigger(
            sequence=sequence,
            serial="",
            received_s=now_s,
            received_at=now,
            deadline_s=now_s + 9,
            connection=1,
        )
        link._give(trigger, PartResult(result=result))
    assert (1, ResultCode.NG) in {(block.result_sequence, block.result) for block in registers.seen}
    assert (1, ResultCode.OK) not in {(block.result_sequence, block.result) for block in registers.seen}
    assert registers.seen[-1].result_sequence == 2


def test_reset_and_clear_counters_act_on_the_rising_edge(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=30, parts=5) as simulator:
        with linked(simulator) as (link, listener), answering(link, ok):
            wait_until(lambda: link.state.ok_count >= 1, "a counted part")
            simulator.control.do(
                "command", bits=int(Command.RUN | Command.RESET_FAULT | Command.CLEAR_COUNTERS)
            )
            wait_until(lambda: listener.resets, "the reset")
            wait_until(lambda: link.state.ok_count < 5, "the counters")
            assert listener.resets == 1
            simulator.wait()


def test_a_line_that_stops_says_so_and_leaves_no_old_result(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50) as simulator:
        with linked(simulator, deadline_s=9.0) as (link, listener):
            with answering(link, lambda trigger: ok(trigger) if trigger.sequence == 1 else None):
                wait_until(lambda: listener.answers and link.waiting, "an answer, and a part without one")
        assert listener.answers[-1].reason == "the line was stopped"
        block = ToPlc.decode(simulator.control.do("state")["line"])
        assert block.result is ResultCode.NONE
        assert block.status == Status(0)


def test_nobody_there_is_one_alarm_and_stopping_is_quick():
    listener = RecordingListener()
    link = PlcLink(PlcConfig(port=1, timeout_s=0.1), listener, deadline_s=0.1)
    link.start()
    wait_until(lambda: listener.alarms, "the alarm")
    wait_until(lambda: link._session._client is None, "the closed session")
    link.stop(2.0)
    assert listener.alarms == ["plc_connection"]
    assert not link.state.is_connected
