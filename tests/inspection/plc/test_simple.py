from contextlib import contextmanager

import pytest

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


@pytest.mark.parametrize("result", [ResultCode.NG, ResultCode.ERROR, ResultCode.REVIEW])
def test_everything_but_ok_sets_the_coil_until_the_next_ok(simulator, result):
    with linked(simulator) as (link, _):
        link.submit(result)
        wait_until(lambda: coil(simulator) is True, "the coil")
        link.submit(ResultCode.OK)
        wait_until(lambda: coil(simulator) is False, "the reset")


def test_a_pulse_ends_by_itself(simulator):
    with linked(simulator, pulse_s=0.05) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(
            lambda: [event["value"] for event in simulator.events("coil")] == [False, True, False], "a pulse"
        )


def test_a_register_takes_the_two_given_values(simulator):
    with linked(simulator, kind="register", address=3, on_value=77, off_value=5) as (link, _):
        wait_until(lambda: simulator.control.do("state")["line"][3] == 5, "the off value")
        link.submit(ResultCode.NG)
        wait_until(lambda: simulator.control.do("state")["line"][3] == 77, "the on value")


def test_a_reject_that_the_plc_did_not_take_is_alarmed_and_not_given_later(simulator):
    with linked(simulator) as (link, listener):
        simulator.kill()
        link.submit(ResultCode.NG)
        wait_until(lambda: "reject_not_given" in listener.alarms, "the alarm")


def test_the_coil_is_off_when_the_line_stops(simulator):
    with linked(simulator) as (link, _):
        link.submit(ResultCode.NG)
        wait_until(lambda: coil(simulator) is True, "the coil")
    assert coil(simulator) is False
