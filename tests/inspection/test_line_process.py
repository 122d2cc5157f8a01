"""`run_line` and `plc_simulator` as real processes, over a real Redis and Modbus TCP."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from inspection.bus import liveness
from inspection.edge.clerk import local_deployment
from inspection.line.journal import verify
from inspection.models import Line, Part, View
from inspection.plc.registers import ErrorCode
from inspection.services import frames
from inspection.services.deployments import deploy
from inspection.services.evidence import evidence_file
from inspection.services.line_settings import save_line
from inspection.services.lines import line_config, line_folder, write_line_config
from tests import children
from tests.inspection.factories import make_deployment, make_line, make_operating_point
from tests.ml.factories import DatasetFactory, encode, make_dataset, make_pixels

pytest.importorskip("ml.serving.predictor")
pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT_S = 25
OK_IMAGE = encode(make_pixels(1001, is_ng=False))
NG_IMAGE = encode(make_pixels(1002, is_ng=True))


@pytest.fixture(autouse=True)
def clean(redis_here):
    for folder in (settings.LINE_DIR, settings.ARTEFACT_DIR):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def factory() -> DatasetFactory:
    return make_dataset(ok=6, ng=4)


@contextmanager
def manage(*arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    """A management command in a process of its own, on the test's database, Redis and folders."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=children.environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        output, _ = process.communicate(timeout=TIMEOUT_S)
        print(*arguments, "said:", output or "(shown above)")  # noqa: T201 - pytest shows it where a test fails


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Looks until it is so; fails with what was waited for."""
    pause, ends = threading.Event(), time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < ends, f"not within {TIMEOUT_S} s: {what}"
        pause.wait(0.05)


def is_running(line: Line) -> bool:
    return liveness.line_status(line.slug) is not None


def terminate(process: subprocess.Popen) -> float:
    """Asks a process to stop; gives how long it took."""
    begun_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    return time.monotonic() - begun_s


def replay(factory: DatasetFactory, **fields) -> Line:
    line = make_line(source="replay", **fields)
    line.stations.update(source_settings={"dataset": factory.dataset.slug, "seed": 3, "parts_per_second": 20})
    return line


def test_nothing_passes_the_gate_without_an_ok_of_its_own_and_every_ok_passes(factory, tmp_path):
    log, parts = tmp_path / "plc.jsonl", 25
    options = ("--port", "0", "--period-ms", "100", "--parts", str(parts), "--log", str(log))
    with ExitStack() as running:
        simulator = running.enter_context(manage("plc_simulator", *options))
        port = int(simulator.stdout.readline().split(":")[1].split()[0])
        line = replay(factory, plc_profile="handshake", trigger_mode="plc", plc_port=port, deadline_ms=2000)
        deploy(operating_point=make_operating_point(factory=factory), line=line, by=None)
        process = running.enter_context(manage("run_line", line.slug))
        assert simulator.wait(TIMEOUT_S) == 0
        said = events_of(log, "result")
        # On a machine that is busy with other tests the poll may miss a trigger: such a part has no result.
        wait_until(lambda: line.parts.count() >= len(said), "every judged part in the database")
        assert terminate(process) < 8
        assert not is_running(line)
    gate = {event["sequence"]: event["gate"] for event in events_of(log, "part")}
    judged = Part.objects.prefetch_related("views__image__current_class")
    is_ok = {part.trigger_sequence: part.views.get().image.current_class.is_ok for part in judged}
    assert {sequence for sequence, end in gate.items() if end == "passed"} == {
        sequence for sequence, was_ok in is_ok.items() if was_ok
    }
    assert len(gate) == parts
    assert len(is_ok) >= parts - 5
    assert set(is_ok.values()) == {True, False}
    assert list(judged.order_by("sequence").values_list("sequence", flat=True)) == list(
        range(1, len(is_ok) + 1)
    )
    assert line.deployments.get().state == "live"
    assert {part.given for part in judged} == {"OK", "NG"}


def events_of(log: Path, kind: str) -> list[dict]:
    events = map(json.loads, log.read_text().splitlines())
    return [event for event in events if event["event"] == kind]


def test_a_running_line_takes_a_deployment_frames_and_inspections(factory):
    line = make_line()
    with manage("run_line", line.slug) as process:
        wait_until(lambda: is_running(line), "a sign of life")
        unjudged = frames.inspect_images(line=line, frames={"top": ("a.png", OK_IMAGE)})
        assert (unjudged["verdict"], unjudged["error_code"]) == ("ERROR", 1)
        deployment = deploy(operating_point=make_operating_point(factory=factory), line=line, by=None)
        wait_until(lambda: line.deployments.get().state == "live", "the deployment live")
        said = [
            frames.inspect_images(line=line, frames={"top": ("b.png", image)})
            for image in (OK_IMAGE, NG_IMAGE)
        ]
        assert [one["verdict"] for one in said] == ["OK", "NG"]
        assert {one["model_version"] for one in said} == {deployment.operating_point.model_version_id}
        station = line.stations.get()
        frames.push_frame(line=line, station=station, name="c.png", content=NG_IMAGE)
        wait_until(lambda: line.parts.filter(origin="line").exists(), "the pushed part")
        terminate(process)
    pushed = line.parts.get(origin="line")
    view = pushed.views.get()
    assert (pushed.verdict, view.frame_name) == ("NG", "c.png")
    assert evidence_file(line.slug, view.frame_path).read_bytes() == NG_IMAGE
    assert evidence_file(line.slug, view.map_path).read_bytes().startswith(b"\x89PNG")
    assert line.parts.filter(origin="api").count() == 3


def test_a_line_judges_while_the_database_is_away_and_loses_and_doubles_nothing(factory, tmp_path):
    line = replay(factory)
    live = make_deployment(line, make_operating_point(factory=factory))
    write_line_config(line_config(line, deployment=local_deployment(live)))
    database = children.AwayDatabase(tmp_path)
    with database, manage("run_line", line.slug, DATABASE_URL=database.url) as process:
        wait_until(
            lambda: (status := liveness.line_status(line.slug)) and status.delivery_error, "parts that wait"
        )
        wait_until(lambda: _journaled(line) >= 15, "parts judged meanwhile")
        assert not Part.objects.exists()
        database.come_back()
        wait_until(lambda: line.parts.count() >= 30, "what was judged in the database")
        terminate(process)
    sequences = list(line.parts.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))
    assert set(line.parts.exclude(error_code=ErrorCode.NO_MODEL).values_list("verdict", flat=True)) == {
        "OK",
        "NG",
    }
    assert verify(line_folder(line.slug) / "journal").faults == ()


def _journaled(line: Line) -> int:
    files = (line_folder(line.slug) / "journal").glob("*.jsonl")
    return sum(file.read_text().count('"kind":"part"') for file in files)


def test_a_line_that_is_killed_goes_on_with_its_numbers_and_the_same_model(factory):
    line = replay(factory)
    deploy(operating_point=make_operating_point(factory=factory), line=line, by=None)
    with manage("run_line", line.slug) as process:
        wait_until(lambda: line.parts.filter(verdict="NG").exists(), "an NG part")
        process.kill()
        process.wait(TIMEOUT_S)
    before = line.parts.count()
    with manage("run_line", line.slug) as process:
        wait_until(lambda: line.parts.count() > before + 10, "more parts")
        terminate(process)
    sequences = list(line.parts.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))
    assert [deployment.state for deployment in line.deployments.all()] == ["live"]


def test_a_running_line_takes_its_new_settings_between_two_parts(factory):
    line = replay(factory, deadline_ms=1000)
    deploy(operating_point=make_operating_point(factory=factory), line=line, by=None)
    with manage("run_line", line.slug) as process:
        wait_until(lambda: line.parts.filter(verdict="NG").exists(), "an NG part")
        pid = liveness.line_status(line.slug).pid

        def change() -> Line:
            line.part_rule = "majority"
            line.save()
            line.stations.update(name="side")
            return line

        save_line(save=change, by=None, changes={}, is_new=False)
        seen = View.objects.filter(station__name="side", verdict="NG")
        wait_until(seen.exists, "an NG part of the new station")
        assert liveness.line_status(line.slug).pid == pid
        terminate(process)
    sequences = list(line.parts.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))
    assert verify(line_folder(line.slug) / "journal").faults == ()


def test_one_line_is_run_by_one_process(factory):
    line = make_line()
    with manage("run_line", line.slug) as first:
        wait_until(lambda: is_running(line), "a sign of life")
        with manage("run_line", line.slug) as second:
            output, _ = second.communicate(timeout=TIMEOUT_S)
            assert second.returncode == 1
            assert "run by another process" in output
        assert first.poll() is None


def test_an_unknown_line_is_told_with_those_there_are():
    make_line()
    with manage("run_line", "press-9") as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "no line “press-9”. There are: demo." in output
