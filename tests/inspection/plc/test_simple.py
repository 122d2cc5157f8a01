import time
from contextlib import contextmanager

import pytest
from pymodbus.client import ModbusTcpClient

from inspection.plc import simple
from inspection.plc.config import PlcConfig, SimpleOutput
from inspection.plc.registers import ResultCode
from inspection.plc.simple import SimpleLink

from .bench import RecordingListener, SimulatorProcess, wait_until


@contextmanager
def linked(simulator, **output):
    listener = RecordingListener()
    config = PlcConfig(port=simulator.port, profile="simple", simple=SimpleOutput(**output))
    link = SimpleLink(config, listener, deadline_s=1.0)
    link.start()
    try:
        wait_until(lambda: link.state.is_connected, "the connection")
        yield link, listener
    finally:
        link.stop()


@pytest.fixture
def simulator(tmp_path):
    with SimulatorProcess(tmp_path / "log") as running:
        yield running


def coil(simulator):
    return simulator.control.do("state")["coils"].get("0")


def coil_events(simulator):
    return [event["value"] for event in simulator.events("coil")]


def set_by_hand(simulator, value):
    """As the PLC program or its operator would."""
    with ModbusTcpClient("127.0.0.1", port=simulator.port) as plc:
        plc.write_coil(0, value)


@pytest.mark.parametrize("result", [ResultCode.NG, ResultCode.ERROR, ResultCode.REVIEW])
def test_everything_but_ok_sets_the_coil(simulator, result):
    with linked(simulator) as (link, _):
        link.submit(result)
        wait_until(lambda: coil(simulator) is True, "the coil")


def test_without_a_pulse_neither_the_next_ok_nor_a_stop_resets_the_coil(simulator):
    with linked(simulator) as (link, _):
        link.submit(ResultCode.NG)
        link.submit(ResultCode.OK)
    assert coil_events(simulator) == [True]


def test_a_coil_that_is_on_stays_on_when_the_line_connects(simulator):
    set_by_hand(simulator, True)
    with linked(simulator):
        pass
    assert coil(simulator) is True


def test_a_coil_that_the_plc_has_reset_is_not_set_again(simulator, monkeypatch):
    monkeypatch.setattr(simple, "ALIVE_S", 0.01)
    with linked(simulator) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(lambda: coil(simulator) is True, "the coil")
        set_by_hand(simulator, False)
        looks = []
        read = link._session.read_coil
        monkeypatch.setattr(
            link._session, "read_coil", lambda address: looks.append(address) or read(address)
        )
        wait_until(lambda: len(looks) > 2, "some looks of the idle line")
    assert coil_events(simulator) == [True, False]


def test_a_pulse_ends_by_itself(simulator):
    with linked(simulator, pulse_s=0.05) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(lambda: coil_events(simulator) == [True, False], "a pulse")


def test_a_pulse_is_not_cut_short_by_a_stop(simulator):
    with linked(simulator, pulse_s=0.4) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(lambda: coil(simulator) is True, "the coil")
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s > 0.3
    assert coil_events(simulator) == [True, False]


def test_a_pulse_that_a_crash_left_on_is_ended(simulator):
    set_by_hand(simulator, True)
    with linked(simulator, pulse_s=0.05):
        wait_until(lambda: coil(simulator) is False, "the end of the pulse")


def test_a_register_takes_the_two_given_values(simulator):
    def value():
        return simulator.control.do("state")["line"][3]

    with linked(simulator, kind="register", address=3, on_value=77, off_value=5, pulse_s=0.3) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(lambda: value() == 77, "the on value")
        wait_until(lambda: value() == 5, "the off value")


def test_a_reject_that_the_plc_did_not_take_is_alarmed_and_not_given_later(simulator):
    with linked(simulator) as (link, listener):
        simulator.kill()
        link.submit(ResultCode.NG)
        wait_until(lambda: "reject_not_given" in listener.alarms, "the alarm")


def test_a_reject_after_its_parts_own_deadline_is_alarmed_and_not_given(simulator):
    with linked(simulator) as (link, listener):
        link.submit(ResultCode.NG, time.monotonic() - 0.01)
        wait_until(lambda: "reject_not_given" in listener.alarms, "the alarm")
    assert coil_events(simulator) == []


def test_a_reject_for_a_link_that_was_stopped_is_alarmed(simulator):
    with linked(simulator) as (link, listener):
        pass
    assert not link.submit(ResultCode.NG)
    assert listener.alarms == ["reject_not_given"]


def test_a_reject_that_still_waits_for_its_plc_at_the_stop_is_alarmed():
    listener = RecordingListener()
    config = PlcConfig(port=1, profile="simple", timeout_s=0.1)
    link = SimpleLink(config, listener, deadline_s=60.0)
    link.start()
    link.submit(ResultCode.NG)
    link.stop()
    assert "reject_not_given" in listener.alarms
