"""The whole line against the simulator: real TCP, two processes, physical parts with a truth that only the
simulator's log knows. What counts is what passed the gate."""

# ruff: noqa: SIM117 - the simulator outlives its line, which nesting shows

import random
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from inspection.line.config import JournalConfig, PlcConfig, PushSource, ReplaySource, StationConfig
from inspection.line.delivery import Delivery
from inspection.line.events import DeploymentLive, PartAnswered, PartJudged
from inspection.line.frames import Frame
from inspection.line.journal import journal_path, read_records, verify
from inspection.plc.config import SimpleOutput
from inspection.plc.registers import ErrorCode, Status, ToPlc

from ..plc.bench import ROOT, SimulatorProcess, wait_until
from .factories import (
    HardwareCamera,
    HeldJudge,
    ShadeJudge,
    deployment,
    frame,
    line_config,
    picture,
    png,
    running,
    seen,
)
from .test_journal import disk_that_is_full_after

FAULTS = [
    ("skip", {}),
    ("repeat", {}),
    ("drop", {"ms": 0}),
    ("drop", {"ms": 80}),
    ("stall", {"ms": 60}),
    ("stall", {"ms": 400}),
    ("garbage", {"ms": 40}),
    ("glitch", {"steps": 1}),
    ("glitch", {"steps": 30}),
    ("stop_heartbeat", {"ms": 700}),
]


def plc_line(folder, simulator, **fields):
    plc = PlcConfig(port=simulator.port, poll_s=0.005, timeout_s=0.2, plc_heartbeat_s=0.2)
    # A test machine's disk is shared: syncing each record would measure the neighbours.
    values = {"trigger": "plc", "plc": plc, "deadline_s": 0.15, "journal": JournalConfig(fsync_ms=200)}
    return line_config(folder, **values | fields)


@contextmanager
def line_at_work(folder, simulator, load_judge=lambda _: ShadeJudge(), **fields):
    camera = HardwareCamera(simulator.control._address[1])
    with running(plc_line(folder, simulator, **fields), load_judge, sources={"top": camera}) as runtime:
        yield runtime


def journaled(folder, kind="part"):
    return [record for _, record in read_records(folder / "journal") if record["kind"] == kind]


def assert_safe(simulator, folder):
    """What no fault may ever break."""
    parts = simulator.parts()
    passed = [part for part in parts if part["gate"] == "passed"]
    assert all(part["truth"] == "OK" for part in passed), "an NG part passed"
    assert all(part["result"] == "OK" for part in passed), "a part passed without an OK"
    assert all(part["gate"] == "rejected" for part in parts if part["truth"] == "NG")
    judged = {
        (record["trigger_sequence"], record["views"][0]["frame_name"])
        for record in journaled(folder)
        if record["verdict"] == "OK"
    }
    for part in passed:
        assert (part["sequence"], part["serial"]) in judged, "a part passed by another part's image"
    assert verify(folder / "journal").faults == ()
    return parts, passed


def inject_faults(simulator, parts, every, seed):
    rng, due, tick = random.Random(seed), every, threading.Event()
    injected = []
    while simulator.process.poll() is None:
        tick.wait(0.02)
        try:
            entered = simulator.control.do("state")["entered"]
            if entered >= due and entered < parts - 20:
                name, options = rng.choice(FAULTS) if len(injected) >= len(FAULTS) else FAULTS[len(injected)]
                simulator.control.do(name, **options)
                injected.append(name)
                due = entered + every
        except ConnectionError:
            break
    return injected


def run_with_faults(tmp_path, parts, period_ms, every, seed):
    received = []
    options = {"period_ms": period_ms, "gate": 12, "parts": parts, "ng_rate": 0.2, "seed": seed}
    with SimulatorProcess(tmp_path / "log", **options) as simulator:
        with line_at_work(tmp_path / "line", simulator) as runtime:
            delivery = Delivery(runtime.journal, received.extend)
            delivery.start()
            injected = inject_faults(simulator, parts, every, seed)
            simulator.wait()
        delivery.stop()
        logged, passed = assert_safe(simulator, tmp_path / "line")
    assert len(logged) == parts
    kept = journaled(tmp_path / "line")
    assert [record["sequence"] for record in kept] == list(range(1, len(kept) + 1))
    assert [record["sequence"] for record in received] == [record["sequence"] for record in kept]
    assert len(journaled(tmp_path / "line", "answer")) == len(kept), "one trigger, one answer"
    return logged, passed, injected


def test_every_ng_part_is_rejected_and_every_ok_part_passes_when_nothing_goes_wrong(tmp_path):
    options = {"period_ms": 40, "gate": 50, "parts": 60, "ng_rate": 0.3, "seed": 5}
    with SimulatorProcess(tmp_path / "log", **options) as simulator:
        with line_at_work(tmp_path / "line", simulator, deadline_s=1.5) as runtime:
            simulator.wait()
            wait_until(lambda: len(seen(runtime, PartAnswered)) == 60, "the answers")
        parts, _ = assert_safe(simulator, tmp_path / "line")
    assert {(part["truth"], part["gate"], part["reason"]) for part in parts} == {
        ("OK", "passed", "OK"),
        ("NG", "rejected", "NG"),
    }
    assert {result["model_version"] for result in simulator.events("result")} == {101}


def test_over_300_parts_with_every_fault_no_part_passes_without_its_own_ok(tmp_path):
    logged, passed, injected = run_with_faults(tmp_path, parts=320, period_ms=25, every=22, seed=11)
    assert set(injected) == {name for name, _ in FAULTS}
    good = [part for part in logged if part["truth"] == "OK"]
    assert len(passed) > 0.5 * len(good), "most good parts pass all the same"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_over_10000_parts_with_faults_no_part_passes_without_its_own_ok(tmp_path):
    logged, passed, injected = run_with_faults(tmp_path, parts=10_000, period_ms=25, every=50, seed=12)
    assert len(injected) > 100
    assert len(passed) > 0.6 * len([part for part in logged if part["truth"] == "OK"])


def test_a_plc_that_is_killed_and_restarted_is_found_again_and_its_new_numbers_are_its_own(tmp_path):
    options = {"period_ms": 30, "gate": 6, "ng_rate": 0.3}
    with SimulatorProcess(tmp_path / "log", seed=1, **options) as simulator:
        with line_at_work(tmp_path / "line", simulator) as runtime:
            wait_until(lambda: len(simulator.parts()) > 20, "parts")
            simulator.kill()
            wait_until(lambda: "plc_connection" in runtime.alarms.standing, "the alarm")
            again = SimulatorProcess(
                tmp_path / "log", port=simulator.port, seed=2, first_part=1001, parts=30, **options
            )
            with again:
                runtime._sources["top"]._port = again.control._address[1]
                again.wait()
                wait_until(lambda: not len(runtime._inbox) and not runtime._answers, "the last part")
        parts, _ = assert_safe(again, tmp_path / "line")
    fresh = [part for part in parts if part["part"] > 1000]
    assert len(fresh) == 30
    assert any(part["gate"] == "passed" for part in fresh)


def test_a_line_that_is_killed_and_restarted_answers_nothing_old_and_reuses_no_number(tmp_path):
    settings = tmp_path / "line.json"
    options = {"period_ms": 30, "gate": 6, "ng_rate": 0.3, "seed": 3, "parts": 200}

    def start(simulator):
        command = [sys.executable, "-m", "tests.inspection.line.line_process", str(settings)]
        return subprocess.Popen([*command, str(simulator.control._address[1])], cwd=ROOT)

    with SimulatorProcess(tmp_path / "log", **options) as simulator:
        settings.write_text(plc_line(tmp_path / "line", simulator).to_json())
        line = start(simulator)
        for count in (15, 110):
            wait_until(lambda count=count: len(simulator.parts()) > count, "parts", 20)
            line.kill()
            line.wait(10)
            wait_until(lambda: not simulator.control.do("state")["is_moving"], "the belt's stop")
            line = start(simulator)
        simulator.wait()
        line.terminate()
        line.wait(10)
        parts, passed = assert_safe(simulator, tmp_path / "line")
    assert len(parts) == 200
    assert any(part["reason"] == "no answer" for part in parts)
    assert len(passed) > 30
    sequences = [record["sequence"] for record in journaled(tmp_path / "line")]
    assert sequences == list(range(1, len(sequences) + 1))
    assert len(journaled(tmp_path / "line", "start")) == 3


def test_a_deadline_that_cannot_be_met_passes_nothing_and_keeps_the_late_verdicts(tmp_path):
    judge = HeldJudge(is_holding=True)
    with SimulatorProcess(tmp_path / "log", period_ms=60, gate=6, parts=6) as simulator:
        with line_at_work(tmp_path / "line", simulator, lambda _: judge, deadline_s=0.05) as runtime:
            simulator.wait()
            assert runtime._link.state.late >= 1
            judge.released.set()
            wait_until(lambda: len(seen(runtime, PartAnswered)) == 6, "six answers")
        assert [part["gate"] for part in simulator.parts()] == ["rejected"] * 6
        assert {part["error_code"] for part in simulator.parts()} <= {0, ErrorCode.LATE, ErrorCode.OVERRUN}
    assert "late" in runtime.alarms.standing
    first = journaled(tmp_path / "line")[0]
    assert (first["verdict"], first["judged_verdict"], first["late"]) == ("ERROR", "OK", True)
    assert journaled(tmp_path / "line", "answer")[0]["given"] == "ERROR"


def test_more_parts_than_the_lines_depth_are_answered_overrun_in_their_order(tmp_path):
    judge = HeldJudge(is_holding=True)
    with SimulatorProcess(tmp_path / "log", period_ms=40, gate=50, parts=8) as simulator:
        config = {"deadline_s": 5.0, "depth": 2}
        with line_at_work(tmp_path / "line", simulator, lambda _: judge, **config) as runtime:
            wait_until(lambda: simulator.control.do("state")["entered"] == 8, "all parts")
            wait_until(lambda: runtime._link.waiting == 8, "all triggers")
            judge.released.set()
            wait_until(lambda: len(seen(runtime, PartAnswered)) == 8, "eight answers")
            simulator.wait()
        assert [part["error_code"] for part in simulator.parts()] == [0, 0, 0] + [ErrorCode.OVERRUN] * 5
        assert [result["sequence"] for result in simulator.events("result")] == list(range(1, 9))


def test_a_judge_that_hangs_stops_the_belt(tmp_path):
    judge = HeldJudge()
    with SimulatorProcess(tmp_path / "log", period_ms=50) as simulator:
        with line_at_work(tmp_path / "line", simulator, lambda _: judge, stall_s=0.2):
            wait_until(lambda: simulator.control.do("state")["is_moving"], "the belt")
            judge.is_holding = True
            wait_until(lambda: not simulator.control.do("state")["is_moving"], "the belt's stop")
            judge.released.set()
            judge.is_holding = False
            wait_until(lambda: simulator.control.do("state")["is_moving"], "the belt")


def test_a_full_disk_passes_nothing_until_it_has_room_again(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, gate=4) as simulator:
        with line_at_work(tmp_path / "line", simulator) as runtime:
            wait_until(lambda: len(seen(runtime, PartAnswered)) > 3, "parts")
            with disk_that_is_full_after(journal_path(tmp_path / "line" / "journal", 1)):
                wait_until(lambda: "storage" in runtime.alarms.standing, "the alarm")
                begun = len(simulator.parts())
                wait_until(lambda: len(simulator.parts()) > begun + 12, "parts without storage")
                status = ToPlc.decode(simulator.control.do("state")["line"]).status
                full = simulator.parts()[begun + 6 :]
            wait_until(lambda: "storage" not in runtime.alarms.standing, "the end of the alarm")
            simulator.control.do("stop")
    assert status & Status.FAULT
    assert {(part["gate"], part["error_code"]) for part in full} == {("rejected", ErrorCode.STORAGE)}
    sequences = [record["sequence"] for record in journaled(tmp_path / "line")]
    assert sequences == list(range(1, len(sequences) + 1))


def test_the_plc_sees_a_new_version_with_the_first_part_it_judged(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=40, gate=50, parts=40) as simulator:
        with line_at_work(tmp_path / "line", simulator, deadline_s=1.5) as runtime:
            wait_until(lambda: len(seen(runtime, PartJudged)) > 10, "parts")
            runtime.deploy(deployment(2, ng_at=0.1))
            wait_until(lambda: len(seen(runtime, DeploymentLive)) == 2, "the swap")
            simulator.wait()
        results = [(result["model_version"], result["result"]) for result in simulator.events("result")]
    old, new = results.count((101, "OK")), results.count((102, "NG"))
    assert (old, new) == (len(results) - new, 40 - old)
    assert results == [(101, "OK")] * old + [(102, "NG")] * new
    assert min(old, new) > 5


def test_the_line_is_not_ready_before_its_model_is_and_triggers_before_that_are_errors(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=40, gate=4) as simulator:
        with line_at_work(tmp_path / "line", simulator, deployment=None) as runtime:
            wait_until(lambda: runtime._link.state.is_connected, "the connection")
            status = ToPlc.decode(simulator.control.do("state")["line"]).status
            assert not status & (Status.READY | Status.MODEL_LOADED)
            runtime.deploy(deployment())
            wait_until(lambda: simulator.control.do("state")["is_moving"], "the belt")


def test_a_replayed_image_is_told_to_the_plc_as_simulated(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(png(picture()))
    station = StationConfig(name="top", source=ReplaySource(folder=str(tmp_path / "images")))
    with SimulatorProcess(tmp_path / "log", period_ms=40, gate=40, parts=5) as simulator:
        with running(plc_line(tmp_path / "line", simulator, stations=[station], deadline_s=1.5)):
            wait_until(
                lambda: ToPlc.decode(simulator.control.do("state")["line"]).status & Status.SIMULATED_IMAGES,
                "the bit",
            )
            simulator.wait()
    assert [part["gate"] for part in simulator.parts()] == ["passed"] * 5


def test_pushed_frames_are_matched_by_time_and_after_a_missing_one_no_part_passes_in_doubt(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=200, gate=4, parts=6) as simulator:
        station = StationConfig(name="top", source=PushSource(), window_s=0.1, early_s=0.05)
        with running(plc_line(tmp_path / "line", simulator, stations=[station], deadline_s=0.4)) as runtime:
            for number in range(1, 7):
                photographed = wait_until(
                    lambda number=number: (
                        (state := simulator.control.do("camera"))["part"] == number and state
                    ),
                    f"part {number}",
                )
                if number != 3:
                    runtime.push("top", Frame(image=picture(), name=f"P{photographed['part']:07d}"))
            simulator.wait()
        parts = simulator.parts()
    shown = [(record["serial"], record["views"][0]["frame_name"]) for record in journaled(tmp_path / "line")]
    assert all(name in ("", serial) for serial, name in shown)
    assert [part["gate"] for part in parts] == ["passed"] * 2 + ["rejected"] * 4
    assert [part["error_code"] for part in parts[2:]] == [ErrorCode.CAMERA_TIMEOUT] + [
        ErrorCode.BAD_FRAME
    ] * 3


def test_a_bench_inspection_during_production_never_reaches_the_plc(tmp_path):
    with SimulatorProcess(tmp_path / "log", period_ms=50, gate=40, parts=25) as simulator:
        with line_at_work(tmp_path / "line", simulator, deadline_s=1.5) as runtime:
            wait_until(lambda: len(seen(runtime, PartAnswered)) > 3, "parts")
            benched = [runtime.inspect({"top": frame(220)}) for _ in range(5)]
            simulator.wait()
        assert [record["verdict"] for record in benched] == ["NG"] * 5
        assert [part["gate"] for part in simulator.parts()] == ["passed"] * 25
        assert len(simulator.events("result")) == 25


def test_a_line_with_the_simple_profile_sets_its_coil_on_ng(tmp_path):
    with SimulatorProcess(tmp_path / "log") as simulator:
        plc = PlcConfig(port=simulator.port, profile="simple", simple=SimpleOutput(pulse_s=0.05))
        with running(line_config(tmp_path / "line", plc=plc)) as runtime:
            wait_until(lambda: runtime._link.state.is_connected, "the connection")
            runtime.push("top", frame(100))
            runtime.push("top", frame(220))
            wait_until(
                lambda: [event["value"] for event in simulator.events("coil")] == [True, False],
                "a pulse",
            )


def test_a_reject_counts_from_its_part_and_is_not_given_to_the_one_behind(tmp_path):
    judge = HeldJudge()
    with SimulatorProcess(tmp_path / "log") as simulator:
        plc = PlcConfig(port=simulator.port, profile="simple")
        with running(line_config(tmp_path / "line", plc=plc, deadline_s=0.3), lambda _: judge) as runtime:
            wait_until(lambda: runtime._link.state.is_connected, "the connection")
            judge.is_holding = True
            late = frame(220)
            runtime.push("top", late)
            wait_until(lambda: time.monotonic() > late.arrived_s + 0.35, "the deadline")
            judge.released.set()
            wait_until(lambda: "reject_not_given" in runtime.alarms.standing, "the alarm")
        assert simulator.events("coil") == []


def test_a_stopping_line_gives_the_parts_that_wait_their_rejects_before_it_lets_its_plc_go(tmp_path):
    judge = HeldJudge()
    with SimulatorProcess(tmp_path / "log") as simulator:
        plc = PlcConfig(port=simulator.port, profile="simple")
        with running(line_config(tmp_path / "line", plc=plc), lambda _: judge) as runtime:
            wait_until(lambda: runtime._link.state.is_connected, "the connection")
            judge.is_holding = True
            runtime.push("top", frame(100))
            assert judge.entered.wait(5)
            runtime.push("top", frame(220))
            stopped_while_judging(runtime, judge)
        assert [event["value"] for event in simulator.events("coil")] == [True]
    assert [record["verdict"] for record in journaled(tmp_path / "line")] == ["OK", "NG"]
    assert "reject_not_given" not in runtime.alarms.standing


def test_a_stopping_line_answers_the_triggers_it_took_and_the_plc_reads_each_answer(tmp_path):
    judge = HeldJudge(is_holding=True)
    with SimulatorProcess(tmp_path / "log", period_ms=40, gate=50, parts=3) as simulator:
        with line_at_work(tmp_path / "line", simulator, lambda _: judge, deadline_s=5.0) as runtime:
            wait_until(lambda: runtime._link.waiting == 3, "all triggers")
            stopped_while_judging(runtime, judge)
        assert [(event["sequence"], event["result"]) for event in simulator.events("result")] == [
            (sequence, "OK") for sequence in (1, 2, 3)
        ]
    assert [record["given"] for record in journaled(tmp_path / "line", "answer")] == ["OK"] * 3


def stopped_while_judging(runtime, judge):
    stopping = threading.Thread(target=runtime.stop)
    stopping.start()
    wait_until(runtime._stopping.is_set, "the stop")
    judge.released.set()
    stopping.join(10)
    assert not stopping.is_alive()
