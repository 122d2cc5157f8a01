"""A line goes from the engine that it began with to the quickest one, by itself and between two parts."""

import threading

import numpy as np
import pytest

from inspection.edge.clerk import Clerk, first_deployment
from inspection.edge.feed import LiveFeed
from inspection.edge.mechanic import Mechanic
from inspection.line.events import DeploymentLive
from inspection.line.frames import Frame
from inspection.line.runtime import LineRuntime
from inspection.services.deployments import deploy
from inspection.services.lines import line_config
from inspection.serving_judge import JudgeLoader
from ml.choices import JobState
from ml.models import ServingMeasurement
from ml.services import serving
from ml.serving import measuring
from ml.serving.engines import Running
from ml.serving.machine import machine_key
from ml.serving.measured import read_measured
from ml.serving.variants import Variant
from tests.inspection.factories import make_deployment, make_line, make_operating_point
from tests.ml.factories import make_dataset, make_pixels

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders", "told")]
TIMEOUT_S = 60
FIRST, QUICKER = "ONNX Runtime float32", "OpenVINO float32"


@pytest.fixture(autouse=True)
def openvino_is_quicker(monkeypatch):
    """Real engines in real processes; which is quicker must not depend on this machine's day."""
    plan = measuring.Plan((Variant("onnxruntime"), Variant("openvino")), turns=1, turn_s=0, nice=0)
    monkeypatch.setattr(measuring, "Plan", lambda **_: plan)
    timed = measuring._Bench._timed

    def favourably(bench, variant, trial):
        times, _ = timed(bench, variant, trial)
        return times, 0.5 if variant.engine == "openvino" else 1.0

    monkeypatch.setattr(measuring._Bench, "_timed", favourably)


class AtWork:
    """A runtime with the real loader, its clerk and its mechanic; their looks happen when the test says so."""

    def __init__(self, line) -> None:
        self.line = line
        self.loader = JudgeLoader(Running(threads=1))
        self.live = threading.Semaphore(0)
        self.runtime = LineRuntime(line_config(line, deployment=first_deployment(line)), self.loader)
        engine_of = lambda key: self.loader.engines.get(key, "")  # noqa: E731
        self.clerk = Clerk(line.slug, self.runtime, LiveFeed(), engine_of, lambda: None)
        self.mechanic = Mechanic(line.slug, self.runtime, engine_of, self.clerk.reload)
        self.runtime.subscribe(self.clerk.heard)
        self.runtime.subscribe(self._note)
        self.runtime.start()

    def _note(self, event) -> None:
        if isinstance(event, DeploymentLive):
            self.live.release()

    def await_live(self) -> None:
        assert self.live.acquire(timeout=TIMEOUT_S), "no deployment went live in time"
        self.clerk.look()

    def engine(self) -> str:
        return self.line.deployments.get(state="live").engine

    def judged(self) -> str:
        frame = Frame(image=np.ascontiguousarray(make_pixels(1, is_ng=True)), name="a.png")
        return self.runtime.inspect({"top": frame})["verdict"]


@pytest.fixture
def at_work():
    line = make_line()
    make_deployment(line, make_operating_point())
    one = AtWork(line)
    one.await_live()
    yield one
    one.runtime.stop()


def test_a_line_begins_at_once_and_goes_to_the_quickest_engine_when_it_is_known(at_work):
    assert at_work.engine() == FIRST
    at_work.mechanic.look()
    at_work.clerk.look()
    at_work.await_live()
    assert at_work.engine() == QUICKER
    assert at_work.judged() == "NG"
    assert read_measured(at_work.line.deployments.get().operating_point.model_version.artefact_path)


def test_a_line_that_starts_again_begins_with_the_quickest(at_work):
    at_work.mechanic.look()
    at_work.runtime.stop()
    again = AtWork(at_work.line)
    again.await_live()
    again.runtime.stop()
    assert again.engine() == QUICKER


def test_what_is_known_is_acted_upon_once(at_work):
    at_work.mechanic.look()
    at_work.clerk.look()
    at_work.await_live()
    at_work.mechanic.look()
    at_work.clerk.look()
    assert not at_work.live.acquire(blocking=False)
    assert ServingMeasurement.objects.count() == 1


def test_what_a_worker_measures_is_waited_for(at_work):
    version = at_work.line.deployments.get().operating_point.model_version
    row = ServingMeasurement.objects.create(model_version=version, machine=machine_key())
    serving._take(version, "worker")
    at_work.mechanic.look()
    row.refresh_from_db()
    assert (row.state, row.worker) == (JobState.RUNNING, "worker")
    assert at_work.engine() == FIRST


def test_a_newer_deployment_is_never_replaced_by_an_older_ones_quicker_engine(at_work):
    older = at_work.line.deployments.get()
    at_work.mechanic.look()
    other = make_dataset(name="Nuts", ok=3, ng=3)
    newer = deploy(operating_point=make_operating_point(factory=other), line=at_work.line, by=None)
    at_work.clerk.look()
    at_work.await_live()
    at_work.clerk.look()
    at_work.clerk.look()
    assert at_work.runtime.deployment.id == newer.pk
    assert at_work.clerk._loading is None
    older.refresh_from_db()
    assert older.state == "superseded"


def test_a_mechanic_that_is_told_to_stop_leaves_the_measurement_for_the_next(at_work):
    at_work.mechanic.stop()
    at_work.mechanic.look()
    row = ServingMeasurement.objects.get()
    assert (row.state, row.worker) == (JobState.QUEUED, "")
    assert at_work.engine() == FIRST
