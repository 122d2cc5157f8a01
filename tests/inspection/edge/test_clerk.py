"""The clerk between a real runtime and the database."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pytest

from inspection.edge.clerk import Clerk, first_deployment, local_deployment
from inspection.edge.feed import LiveFeed
from inspection.line.config import DeploymentConfig
from inspection.line.events import DeploymentFailed, DeploymentLive
from inspection.line.frames import Frame
from inspection.line.judge import ViewScore
from inspection.line.runtime import LineRuntime
from inspection.models import Alarm, Line
from inspection.services.deployments import deploy
from inspection.services.lines import kept_line_config, line_config, line_folder
from tests.inspection.factories import make_deployment, make_line, make_operating_point

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]
TIMEOUT_S = 5


class GreyJudge:
    """Scores an image by its mean."""

    def judge(self, frames: Mapping[str, Frame]) -> Mapping[str, ViewScore]:
        return {name: ViewScore(score=float(np.mean(frame.image)) / 255) for name, frame in frames.items()}

    def close(self) -> None:
        pass


class Bench:
    """A runtime with its clerk, whose looks happen when the test says so."""

    def __init__(self, line, refused: set[int]) -> None:
        self.ended = threading.Semaphore(0)

        def load(deployment: DeploymentConfig) -> GreyJudge:
            if deployment.id in refused:
                raise ValueError("parity: 0.3 apart")
            return GreyJudge()

        self.runtime = LineRuntime(line_config(line, deployment=first_deployment(line)), load)
        self.restarts: list[str] = []
        self.clerk = Clerk(
            line.slug,
            self.runtime,
            LiveFeed(),
            lambda _: "grey float32",
            lambda: self.restarts.append(line.slug),
        )
        self.runtime.subscribe(self.clerk.heard)
        self.runtime.subscribe(self._note)

    def _note(self, event) -> None:
        if isinstance(event, DeploymentLive | DeploymentFailed):
            self.ended.release()

    def await_load(self) -> None:
        assert self.ended.acquire(timeout=TIMEOUT_S), "no deployment ended in time"


@pytest.fixture
def line():
    return make_line()


@pytest.fixture
def refused() -> set[int]:
    return set()


@pytest.fixture
def bench(line, refused) -> Iterator[Callable[[], Bench]]:
    benches: list[Bench] = []

    def start() -> Bench:
        benches.append(Bench(line, refused))
        benches[-1].runtime.start()
        return benches[-1]

    yield start
    for one in benches:
        one.runtime.stop()


def states(line) -> list[str]:
    return list(line.deployments.order_by("pk").values_list("state", flat=True))


def test_what_waits_is_loaded_and_reported_live(line, bench):
    deploy(operating_point=make_operating_point(), line=line, by=None)
    at_work = bench()
    at_work.clerk.look()
    at_work.await_load()
    at_work.clerk.look()
    deployment = line.deployments.get()
    assert (deployment.state, deployment.engine) == ("live", "grey float32")


def test_the_line_begins_with_what_was_live_when_it_stopped(line, bench):
    live = make_deployment(line, make_operating_point())
    at_work = bench()
    at_work.await_load()
    assert at_work.runtime.deployment.id == live.pk
    at_work.clerk.look()
    assert states(line) == ["live"]


def test_the_live_model_is_in_force_before_a_waiting_one_is_tried(line, bench, refused):
    point = make_operating_point()
    live = make_deployment(line, point)
    refused.add(deploy(operating_point=point, line=line, by=None).pk)
    at_work = bench()
    at_work.await_load()
    at_work.clerk.look()
    at_work.await_load()
    at_work.clerk.look()
    assert at_work.runtime.deployment.id == live.pk
    assert states(line) == ["live", "failed"]
    assert "parity" in line.deployments.latest("pk").error


def test_a_failed_one_is_not_tried_again(line, bench, refused):
    refused.add(deploy(operating_point=make_operating_point(), line=line, by=None).pk)
    at_work = bench()
    at_work.clerk.look()
    at_work.await_load()
    at_work.clerk.look()
    at_work.clerk.look()
    assert not at_work.ended.acquire(blocking=False)


def test_a_line_left_without_any_model_raises_an_alarm_until_one_is_live(line, bench, refused):
    point = make_operating_point()
    refused.add(deploy(operating_point=point, line=line, by=None).pk)
    at_work = bench()
    at_work.clerk.look()
    at_work.await_load()
    at_work.clerk.look()
    assert "parity" in line.alarms.get(code="model", cleared_at=None).message
    deploy(operating_point=point, line=line, by=None)
    at_work.clerk.look()
    at_work.await_load()
    at_work.clerk.look()
    assert not line.alarms.filter(cleared_at=None).exists()


def test_a_model_whose_files_are_gone_fails_in_words(line, bench):
    point = make_operating_point()
    deploy(operating_point=point, line=line, by=None)
    (point.model_version.artefact_path / "parity.safetensors").unlink()
    at_work = bench()
    at_work.clerk.look()
    at_work.clerk.look()
    assert states(line) == ["failed"]
    assert "parity.safetensors" in line.deployments.get().error


def test_the_settings_with_the_live_deployment_are_kept_for_a_start_without_database(line, bench):
    live = make_deployment(line, make_operating_point())
    bench().await_load()
    kept = kept_line_config(line.slug).deployment
    assert kept.id == live.pk
    assert str(line_folder(line.slug)) in kept.artefact


def test_a_model_is_copied_to_the_line_with_the_scale_of_its_maps(line):
    deployment = make_deployment(line, make_operating_point())
    config = local_deployment(deployment)
    name = deployment.operating_point.model_version.artefact
    assert (line_folder(line.slug) / "models" / name / "model.onnx").is_file()
    assert config.map_max == pytest.approx(0.70, abs=0.01)


def test_copies_of_models_that_are_not_in_force_any_more_are_removed(line, bench):
    at_work = bench()
    point = make_operating_point()
    deploy(operating_point=point, line=line, by=None)
    at_work.clerk.look()
    at_work.await_load()
    stray = line_folder(line.slug) / "models" / "stray"
    stray.mkdir()
    at_work.clerk.look()
    assert [path.name for path in stray.parent.iterdir()] == [point.model_version.artefact]


def test_alarms_of_the_line_are_raised_and_cleared_in_the_database(line, bench):
    at_work = bench()
    at_work.runtime.alarms.raise_alarm("plc_connection", "no answer", lasts=True)
    at_work.clerk.look()
    at_work.clerk.look()
    assert list(Alarm.objects.values_list("code", "message")) == [("plc_connection", "no answer")]
    at_work.runtime.alarms.clear("plc_connection")
    at_work.clerk.look()
    assert Alarm.objects.get().cleared_at is not None


def test_alarms_that_a_killed_process_left_are_cleared(line, bench):
    Alarm.objects.create(line=line, code="storage", message="m", raised_at="2026-01-01T00:00:00Z")
    bench().clerk.look()
    assert Alarm.objects.get().cleared_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_knock_is_heard_at_once(line, bench):
    clerk = bench().clerk
    clerk.knock()
    begun_s = time.monotonic()
    clerk.step()
    assert time.monotonic() - begun_s < 2


def test_changed_settings_ask_once_for_a_restart(line, bench):
    at_work = bench()
    at_work.clerk.look()
    assert at_work.restarts == []
    line.stations.update(name="side")
    at_work.clerk.look()
    at_work.clerk.look()
    assert at_work.restarts == ["demo"]


def test_another_name_of_the_line_disturbs_no_part(line, bench):
    at_work = bench()
    Line.objects.update(name="Press 4")
    at_work.clerk.look()
    assert at_work.restarts == []


def test_settings_that_make_no_line_are_an_alarm_until_they_do(line, bench):
    at_work = bench()
    line.stations.update(source="folder", source_settings={"path": "/"})
    at_work.clerk.look()
    assert at_work.restarts == []
    assert "keeps its own files there" in at_work.runtime.alarms.standing["settings"]
    line.stations.update(source="push", source_settings={})
    at_work.clerk.look()
    assert at_work.restarts == []
    assert "settings" not in at_work.runtime.alarms.standing
