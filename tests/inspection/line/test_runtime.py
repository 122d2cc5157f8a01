"""The runtime without a PLC: frames in, records out."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspection.line.config import (
    ConfigError,
    FolderSource,
    PlcConfig,
    PushSource,
    ReplaySource,
    StationConfig,
)
from inspection.line.delivery import Delivery
from inspection.line.events import (
    AlarmRaised,
    DeploymentFailed,
    DeploymentLive,
    EvidenceStored,
    PartJudged,
)
from inspection.line.frames import Frame, frame_from_bytes
from inspection.line.journal import journal_path, read_records, verify
from inspection.line.judge import ViewScore
from inspection.line.runtime import InspectionTimeoutError, LineRuntime
from inspection.plc.registers import ErrorCode

from ..plc.bench import wait_until
from .factories import HeldJudge, ShadeJudge, deployment, frame, line_config, picture, png, running, seen
from .test_journal import disk_that_is_full_after

ROOMY = StationConfig(name="top", source=PushSource(depth=30))
TWO = [StationConfig(name=name, source=PushSource()) for name in ("top", "side")]


def records(runtime):
    return [event.record for event in list(runtime.seen) if isinstance(event, PartJudged)]


def wait_for_parts(runtime, count):
    wait_until(lambda: len(records(runtime)) >= count, f"{count} parts")
    return records(runtime)


def test_each_pushed_frame_is_a_part_with_its_verdict_in_the_journal(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        assert runtime.push("top", frame(100, "dark.png", reference="7"))
        assert runtime.push("top", frame(220, "bright.png"))
        wait_for_parts(runtime, 2)
    dark, bright = [record for _, record in read_records(tmp_path / "journal") if record["kind"] == "part"]
    assert (dark["sequence"], dark["verdict"], dark["error_code"]) == (1, "OK", 0)
    assert (bright["sequence"], bright["verdict"]) == (2, "NG")
    assert bright["score"] == pytest.approx(220 / 255, abs=0.02)
    assert (dark["views"][0]["frame_name"], dark["views"][0]["reference"]) == ("dark.png", "7")
    assert (dark["deployment"], dark["model_version"], dark["ng_at"]) == (1, 101, 0.6)
    assert dark["trigger_sequence"] is None
    assert dark["judge_ms"] >= 0
    assert verify(tmp_path / "journal").faults == ()


def test_the_sequence_goes_on_after_a_restart(tmp_path):
    for expected in (1, 2):
        with running(line_config(tmp_path)) as runtime:
            runtime.push("top", frame())
            assert wait_for_parts(runtime, 1)[0]["sequence"] == expected


def test_a_bad_frame_is_an_error_part_and_the_line_goes_on(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        runtime.push("top", frame_from_bytes(png(picture())[:60], "cut.png"))
        runtime.push("top", frame())
        bad, good = wait_for_parts(runtime, 2)
    assert (bad["verdict"], bad["error_code"]) == ("ERROR", ErrorCode.BAD_FRAME)
    assert good["verdict"] == "OK"


def test_without_a_model_every_part_is_an_error(tmp_path):
    with running(line_config(tmp_path, deployment=None)) as runtime:
        assert runtime.state == "no model"
        runtime.push("top", frame())
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["error_code"]) == ("ERROR", ErrorCode.NO_MODEL)


def test_frames_of_several_stations_make_one_part(tmp_path):
    with running(line_config(tmp_path, stations=TWO, group_window_s=5.0)) as runtime:
        for shade in (100, 220):
            runtime.push("side", frame(shade))
            runtime.push("top", frame(100))
        first, second = wait_for_parts(runtime, 2)
    assert [view["station"] for view in first["views"]] == ["top", "side"]
    assert (first["verdict"], second["verdict"]) == ("OK", "NG")
    assert [view["verdict"] for view in second["views"]] == ["OK", "NG"]


def test_a_view_that_does_not_come_in_the_group_window_is_a_camera_timeout(tmp_path):
    with running(line_config(tmp_path, stations=TWO, group_window_s=0.05)) as runtime:
        runtime.push("top", frame())
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["error_code"]) == ("ERROR", ErrorCode.CAMERA_TIMEOUT)
    assert [view["verdict"] for view in record["views"]] == ["OK", "ERROR"]


@pytest.mark.parametrize(("plc", "where"), [(None, "done"), (PlcConfig(port=1, profile="simple"), "missed")])
def test_images_from_before_the_start_are_no_parts_at_a_machine(tmp_path, plc, where):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(png(picture()))
    stations = [StationConfig(name="top", source=FolderSource(folder=str(tmp_path / "in")))]
    with running(line_config(tmp_path / "line", stations=stations, plc=plc)) as runtime:
        wait_until((tmp_path / "in" / where / "a.png").exists, "the file's place")
    assert len(records(runtime)) == (1 if where == "done" else 0)


LONG_AGO_S = 100.0


def pushed(runtime, *stations, at_s):
    """The record of the part that these views make which came at once, so long after long ago."""
    before, arrived_s = len(records(runtime)), time.monotonic() - LONG_AGO_S + at_s
    with runtime._collector._condition:
        for station in stations:
            runtime.push(station, frame(arrived_s=arrived_s))
    return wait_for_parts(runtime, before + 1)[before]


def test_a_view_that_comes_late_never_makes_a_part_with_the_next_ones_views(tmp_path):
    with running(line_config(tmp_path, stations=TWO, deadline_s=600)) as runtime:
        assert pushed(runtime, "top", at_s=0)["error_code"] == ErrorCode.CAMERA_TIMEOUT
        mixed = pushed(runtime, "side", "top", at_s=1)
        assert "frames_out_of_step" in runtime.alarms.standing
        assert pushed(runtime, "side", at_s=2)["error_code"] == ErrorCode.CAMERA_TIMEOUT
        whole = pushed(runtime, "side", "top", at_s=3)
        assert "frames_out_of_step" not in runtime.alarms.standing
    assert (mixed["verdict"], mixed["error_code"]) == ("ERROR", ErrorCode.BAD_FRAME)
    assert whole["verdict"] == "OK"


def test_after_a_pause_in_which_a_late_view_would_have_come_views_count_again(tmp_path):
    with running(line_config(tmp_path, stations=TWO, deadline_s=600)) as runtime:
        pushed(runtime, "top", at_s=0)
        assert pushed(runtime, "side", "top", at_s=1)["verdict"] == "ERROR"
        assert pushed(runtime, "side", "top", at_s=20)["verdict"] == "OK"


def test_a_push_that_the_line_has_no_room_for_is_an_overrun_in_its_place_and_no_accepted_frame_is_lost(
    tmp_path,
):
    judge = HeldJudge()
    station = StationConfig(name="top", source=PushSource(depth=2))
    with running(line_config(tmp_path, stations=[station], depth=1), lambda _: judge) as runtime:
        judge.is_holding = True
        accepted = 1
        runtime.push("top", frame())
        assert judge.entered.wait(5)
        while runtime.push("top", frame()):
            accepted += 1
            assert accepted < 10
            wait_until(lambda: len(runtime._inbox) >= 1, "the queue")
        judge.released.set()
        wait_for_parts(runtime, accepted + 1)
        assert runtime.push("top", frame())
        codes = [record["error_code"] for record in wait_for_parts(runtime, accepted + 2)]
    assert codes == [0] * accepted + [ErrorCode.OVERRUN, 0]


def test_a_push_to_an_unknown_or_other_station_is_refused(tmp_path):
    stations = [StationConfig(name="top", source=FolderSource(folder=str(tmp_path / "in")))]
    with running(line_config(tmp_path, stations=stations)) as runtime:
        with pytest.raises(KeyError):
            runtime.push("bottom", frame())
        with pytest.raises(TypeError, match="no pushed frames"):
            runtime.push("top", frame())


def test_files_in_a_watched_folder_become_parts(tmp_path):
    source = FolderSource(folder=str(tmp_path / "in"), settle_s=0.02, poll_s=0.005)
    with running(line_config(tmp_path, stations=[StationConfig(name="top", source=source)])) as runtime:
        (tmp_path / "in" / "a.png").write_bytes(png(picture(220)))
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["views"][0]["frame_name"]) == ("NG", "a.png")


def test_a_source_that_cannot_start_stops_the_start_and_leaves_nothing_running(tmp_path):
    source = ReplaySource(folder=str(tmp_path / "empty"), rate_hz=5)
    config = line_config(tmp_path / "line", stations=[StationConfig(name="top", source=source)])
    runtime = LineRuntime(config, lambda _: ShadeJudge())
    with pytest.raises(ConfigError, match="nothing to replay"):
        runtime.start()
    assert runtime.state == "stopped"


def test_evidence_is_written_beside_the_record(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        encoded = png(picture(100))
        runtime.push("top", frame_from_bytes(encoded, "a.png"))
        wait_until(lambda: seen(runtime, EvidenceStored), "the evidence")
        view = wait_for_parts(runtime, 1)[0]["views"][0]
    assert (tmp_path / view["frame_path"]).read_bytes() == encoded
    grey = cv2.imread(str(tmp_path / view["map_path"]), cv2.IMREAD_UNCHANGED)
    assert grey.shape == (view["map_height"], view["map_width"]) == (8, 12)
    assert grey.dtype == np.uint8
    assert abs(int(grey[0, 0]) - int(picture(100)[0, 0])) <= 1
    assert view["map_box"] == [0, 0, 32, 48]
    assert view["map_max"] == 1.0


def test_evidence_that_cannot_be_written_is_alarmed_and_judging_goes_on(tmp_path):
    (tmp_path / "evidence").write_text("in the way")
    with running(line_config(tmp_path)) as runtime:
        runtime.push("top", frame())
        wait_until(lambda: "evidence" in runtime.alarms.standing, "the alarm")
        runtime.push("top", frame())
        assert [record["verdict"] for record in wait_for_parts(runtime, 2)] == ["OK", "OK"]


def test_a_model_that_fails_on_a_part_is_an_error_and_the_next_part_is_judged(tmp_path):
    class FailsOnce(ShadeJudge):
        def judge(self, frames):
            scores = super().judge(frames)
            if self.parts == 3:
                raise MemoryError("no room")
            return scores

    with running(line_config(tmp_path), lambda _: FailsOnce()) as runtime:
        runtime.push("top", frame())
        runtime.push("top", frame())
        bad, good = wait_for_parts(runtime, 2)
    assert (bad["verdict"], bad["error_code"]) == ("ERROR", ErrorCode.INFERENCE_FAILED)
    assert good["verdict"] == "OK"


def test_a_map_that_is_not_a_number_spoils_no_record(tmp_path):
    class BlindMap(ShadeJudge):
        def judge(self, frames):
            return {name: ViewScore(score=0.1, map=np.full((4, 4), np.nan, np.float32)) for name in frames}

    with running(line_config(tmp_path, deployment=deployment(map_max=None)), lambda _: BlindMap()) as runtime:
        runtime.push("top", frame())
        wait_until(lambda: seen(runtime, EvidenceStored), "the evidence")
        view = wait_for_parts(runtime, 1)[0]["views"][0]
    assert (cv2.imread(str(tmp_path / view["map_path"]), cv2.IMREAD_UNCHANGED) == 255).all()


def test_our_own_failure_on_a_part_is_an_error_record_and_never_silence(tmp_path, monkeypatch):
    with running(line_config(tmp_path)) as runtime:
        monkeypatch.setattr("inspection.line.recording.frame_file", lambda *_: 1 / 0)
        runtime.push("top", frame())
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["error_code"]) == ("ERROR", ErrorCode.INTERNAL)


def test_a_result_after_the_deadline_is_an_error_and_the_late_verdict_is_kept(tmp_path):
    judge = HeldJudge()
    with running(line_config(tmp_path, deadline_s=0.02), lambda _: judge) as runtime:
        judge.is_holding = True
        runtime.push("top", frame(220))
        assert judge.entered.wait(5)
        begun_s = time.monotonic()
        wait_until(lambda: time.monotonic() > begun_s + 0.03, "the deadline")
        judge.released.set()
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["error_code"], record["late"]) == ("ERROR", ErrorCode.LATE, True)
    assert record["judged_verdict"] == "NG"


def test_a_full_disk_makes_errors_and_what_could_not_be_stored_is_stored_later_in_order(tmp_path):
    config = line_config(
        tmp_path, stations=[StationConfig(name="top", source=PushSource(), keep_frames=False)]
    )
    with running(config) as runtime:
        runtime.push("top", frame())
        wait_for_parts(runtime, 1)
        with disk_that_is_full_after(journal_path(tmp_path / "journal", 1), room=100):
            runtime.push("top", frame(100))
            runtime.push("top", frame(220))
            wait_for_parts(runtime, 3)
            assert "storage" in runtime.alarms.standing
            assert runtime.state == "fault"
        runtime.push("top", frame())
        wait_for_parts(runtime, 4)
        wait_until(lambda: "storage" not in runtime.alarms.standing, "the end of the alarm")
    kept = [record for _, record in read_records(tmp_path / "journal") if record["kind"] == "part"]
    assert [record["sequence"] for record in kept] == [1, 2, 3, 4]
    assert [record["verdict"] for record in kept] == ["OK", "ERROR", "ERROR", "OK"]
    assert [record["judged_verdict"] for record in kept] == ["OK", "OK", "NG", "OK"]
    assert [record["error_code"] for record in kept] == [0, 7, 7, 0]
    assert verify(tmp_path / "journal").faults == ()


def test_a_deployment_swaps_between_two_parts_and_its_version_is_in_the_first_it_judged(tmp_path):
    first = ShadeJudge()
    judges = {1: first, 2: ShadeJudge()}
    with running(line_config(tmp_path), lambda wanted: judges[wanted.id]) as runtime:
        runtime.push("top", frame(100))
        wait_for_parts(runtime, 1)
        runtime.deploy(deployment(2, ng_at=0.2))
        wait_until(lambda: len(seen(runtime, DeploymentLive)) == 2, "the second deployment")
        runtime.push("top", frame(100))
        before, after = wait_for_parts(runtime, 2)
    assert (before["model_version"], before["verdict"]) == (101, "OK")
    assert (after["model_version"], after["verdict"], after["ng_at"]) == (102, "NG", 0.2)
    assert first.is_closed


def test_a_part_that_is_being_judged_keeps_its_model_to_the_end(tmp_path):
    held = HeldJudge()
    judges = {1: held, 2: ShadeJudge()}
    with running(line_config(tmp_path), lambda wanted: judges[wanted.id]) as runtime:
        held.is_holding = True
        runtime.push("top", frame())
        assert held.entered.wait(5)
        runtime.deploy(deployment(2))
        wait_until(lambda: judges[2].parts == 2, "the warm-up of the new model")
        assert runtime.deployment.id == 1
        held.released.set()
        (record,) = wait_for_parts(runtime, 1)
        wait_until(lambda: runtime.deployment.id == 2, "the swap")
    assert record["deployment"] == 1


class NoNumber(ShadeJudge):
    def judge(self, frames):
        return {name: ViewScore(score=float("nan")) for name in frames}


def refuse(wanted):
    raise ValueError("parity 0.3 is above 0.001")


@pytest.mark.parametrize(
    ("second", "reason"),
    [(refuse, "parity"), (lambda _: NoNumber(), "blank")],
    ids=["parity", "warm-up"],
)
def test_a_deployment_that_cannot_be_used_fails_and_the_old_one_stays(tmp_path, second, reason):
    first = ShadeJudge()
    with running(
        line_config(tmp_path), lambda wanted: first if wanted.id == 1 else second(wanted)
    ) as runtime:
        runtime.deploy(deployment(2))
        (failed,) = wait_until(lambda: seen(runtime, DeploymentFailed), "the failure")
        runtime.push("top", frame())
        (record,) = wait_for_parts(runtime, 1)
    assert failed.deployment.id == 2
    assert reason in failed.reason
    assert (record["deployment"], record["verdict"]) == (1, "OK")


def test_only_the_newest_of_several_waiting_deployments_is_loaded(tmp_path):
    loading, let_go, loaded = threading.Event(), threading.Event(), []

    def load(wanted):
        loaded.append(wanted.id)
        if wanted.id == 2:
            loading.set()
            assert let_go.wait(10)
        return ShadeJudge()

    with running(line_config(tmp_path), load) as runtime:
        runtime.deploy(deployment(2))
        assert loading.wait(5)
        runtime.deploy(deployment(3))
        runtime.deploy(deployment(4))
        let_go.set()
        wait_until(lambda: runtime.deployment.id == 4, "the newest")
    assert loaded == [1, 2, 4]
    assert 3 in [event.deployment.id for event in seen(runtime, DeploymentFailed)]


def test_a_bench_inspection_is_judged_journaled_and_marked(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        record = runtime.inspect({"top": frame(220, "bench.png")}, serial="B1")
        assert runtime.snapshot()["verdicts"] == {}
    assert (record["verdict"], record["origin"], record["serial"]) == ("NG", "api", "B1")
    assert [kept["origin"] for _, kept in read_records(tmp_path / "journal") if kept["kind"] == "part"] == [
        "api"
    ]


def test_a_bench_inspection_judges_the_views_it_brings(tmp_path):
    with running(line_config(tmp_path, stations=TWO)) as runtime:
        record = runtime.inspect({"side": frame()})
        assert [view["station"] for view in record["views"]] == ["side"]
        assert record["verdict"] == "OK"
        with pytest.raises(KeyError):
            runtime.inspect({"bottom": frame()})


def test_a_bench_inspection_of_a_busy_line_gives_up_in_time(tmp_path):
    judge = HeldJudge()
    with running(line_config(tmp_path), lambda _: judge) as runtime:
        judge.is_holding = True
        runtime.push("top", frame())
        assert judge.entered.wait(5)
        with pytest.raises(InspectionTimeoutError):
            runtime.inspect({"top": frame()}, timeout_s=0.01)
        judge.released.set()
        wait_for_parts(runtime, 1)
    assert len(records(runtime)) == 1, "an inspection that was given up is not judged later"


def test_a_bench_inspection_of_a_stopped_line_is_refused(tmp_path):
    with pytest.raises(InspectionTimeoutError, match="does not run"):
        LineRuntime(line_config(tmp_path), lambda _: ShadeJudge()).inspect({"top": frame()})


def test_a_listener_that_fails_disturbs_nobody(tmp_path):
    runtime = LineRuntime(line_config(tmp_path), lambda _: ShadeJudge())
    got = []
    runtime.subscribe(lambda _: 1 / 0)
    runtime.subscribe(got.append)
    runtime.start()
    wait_until(lambda: runtime.deployment, "the model")
    runtime.push("top", frame())
    wait_until(lambda: any(isinstance(event, PartJudged) for event in got), "the event")
    runtime.stop()


def test_a_listener_that_hangs_does_not_slow_the_line(tmp_path):
    let_go = threading.Event()
    with running(line_config(tmp_path, stations=[ROOMY])) as runtime:
        runtime.subscribe(lambda _: let_go.wait(10))
        for _ in range(20):
            assert runtime.push("top", frame())
        wait_until(lambda: runtime.snapshot()["verdicts"] == {"OK": 20}, "20 parts")
        let_go.set()


def test_every_record_reaches_the_database_once(tmp_path):
    received = []
    with running(line_config(tmp_path, stations=[ROOMY])) as runtime:
        delivery = Delivery(runtime.journal, received.extend)
        delivery.start()
        for _ in range(30):
            assert runtime.push("top", frame())
        wait_until(lambda: len(received) == 30, "delivery")
        delivery.stop()
    assert [record["sequence"] for record in received] == list(range(1, 31))


def test_a_runtime_that_was_never_started_stops_without_a_word(tmp_path):
    LineRuntime(line_config(tmp_path), lambda _: ShadeJudge()).stop()
    assert not Path(tmp_path / "journal").exists()


def test_alarms_are_told_once_while_they_stand(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        for _ in range(3):
            runtime.plc_alarm("plc_connection", "gone")
        runtime.plc_alarm_cleared("plc_connection")
        runtime.plc_alarm("plc_connection", "gone again")
        wait_until(lambda: len(seen(runtime, AlarmRaised)) == 2, "two alarms")
        assert runtime.alarms.standing == {"plc_connection": "gone again"}


def test_a_frame_that_is_no_image_at_all_is_a_bad_frame_not_a_crash(tmp_path):
    with running(line_config(tmp_path)) as runtime:
        runtime.push("top", Frame(image=None, name="x"))
        (record,) = wait_for_parts(runtime, 1)
    assert (record["verdict"], record["error_code"]) == ("ERROR", ErrorCode.BAD_FRAME)
